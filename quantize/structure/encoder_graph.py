"""One step of the encoder as an ONNX graph with any geometry: to time lengths that the artifact was not exported with.

The operators and their sizes are the artifact's, without what only tells streams apart. State: keys and values of
every layer, (2 * layers, heads, left context, head_dim), full.
"""

from pathlib import Path

import numpy as np

from emf.quantize.structure.onnx_builder import OnnxBuilder
from emf.quantize.structure.weights import EncoderWeights
from emf.runtime.artifact.manifest import Geometry


def write_step(path: Path, weights: EncoderWeights, geometry: Geometry) -> Path:
    """Write the graph: `features` (1, segment + right context, n_mels) and `cache` give `encoding` and `new_cache`."""
    builder = OnnxBuilder()
    stride, frames = geometry.subsampling_factor, geometry.frames_per_step
    rows, dim, heads = geometry.step_length // stride, weights.dim, weights.num_heads
    x = builder.node("MatMul", _begin(builder, "features", rows * stride, 1), builder.constant(weights.input_linear))
    x, new = builder.reshape(x, rows, dim), []
    for index, layer in enumerate(weights.layers):
        projected = builder.linear(builder.norm(x, layer.norm_input), layer.projection)
        stacked = builder.node("Transpose", builder.reshape(projected, rows, 3 * heads, -1), perm=[1, 0, 2])
        query, key, value = builder.split(stacked, 3, axis=0)
        new += [_begin(builder, part, frames, 1) for part in (key, value)]
        keys, values = (
            builder.node("Concat", _part(builder, 2 * index + offset), part, axis=1)
            for offset, part in enumerate((key, value))
        )
        scores = builder.node("MatMul", query, builder.node("Transpose", keys, perm=[0, 2, 1]))
        context = builder.node("MatMul", builder.node("Softmax", scores, axis=-1), values)
        context = builder.reshape(builder.node("Transpose", context, perm=[1, 0, 2]), rows, dim)
        x = builder.node("Add", builder.linear(context, layer.out_proj), x)
        hidden = builder.activate(builder.linear(builder.norm(x, layer.norm_ffn), layer.ffn_in), weights.activation)
        x = builder.norm(builder.node("Add", builder.linear(hidden, layer.ffn_out), x), layer.norm_output)
    encoded = builder.norm(builder.linear(_begin(builder, x, frames, 0), weights.output_linear), weights.norm)
    joined = builder.reshape(builder.node("Concat", *new, axis=0), 2 * len(weights.layers), heads, frames, -1)
    shapes = {
        "features": (1, geometry.step_length, len(weights.input_linear)),
        "cache": (2 * len(weights.layers), heads, geometry.left_context_length, dim // heads),
    }
    return builder.write(path, shapes, {"encoding": encoded, "new_cache": joined})


def _begin(builder: OnnxBuilder, x: str, count: int, axis: int) -> str:
    """The first entries of an axis."""
    bounds = [builder.constant(np.array([value], np.int64)) for value in (0, count, axis)]
    return builder.node("Slice", x, *bounds)


def _part(builder: OnnxBuilder, index: int) -> str:
    """One layer's keys or values, of the cache."""
    return builder.node("Gather", "cache", builder.constant(np.array(index, np.int64)), axis=0)
