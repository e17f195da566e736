"""The encoder's weights, read from an artifact's float graph: the artifact alone is enough, no checkpoint is needed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import numpy_helper

from emf.quantize.graphs.onnx import read_graph
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.errors import ArtifactError, UsageError

_ACTIVATIONS = {"Gelu": "gelu", "Erf": "gelu", "Relu": "relu", "Sigmoid": "silu"}
"""The activation by the operator that only it has in an encoder."""


@dataclass(frozen=True, slots=True)
class Affine:
    """`x @ weight.T + bias`; or, of a layer norm, what its normed rows are multiplied by and what is added."""

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One Emformer layer; d is its width and F its number of neurons.

    Attributes:
        norm_input: layer norm before attention.
        projection: query (scaled), key and value, (3 d, d).
        out_proj: attention's output, (d, d).
        norm_ffn: layer norm before the feed-forward network.
        ffn_in: (F, d).
        ffn_out: (d, F).
        norm_output: layer norm after it.
    """

    norm_input: Affine
    projection: Affine
    out_proj: Affine
    norm_ffn: Affine
    ffn_in: Affine
    ffn_out: Affine
    norm_output: Affine

    @property
    def key_value(self) -> FloatArray:
        """Weights of keys and values alone, (2 d, d)."""
        return self.projection.weight[len(self.out_proj.weight) :]


@dataclass(frozen=True, slots=True)
class EncoderWeights:
    """The encoder.

    Attributes:
        input_linear: applied to each feature frame, (n_mels, time reduction's width).
        layers: in order.
        output_linear: (encoding_dim, d).
        norm: layer norm of the encodings.
        num_heads: of every layer's attention.
        activation: of every layer's neurons: `gelu`, `relu` or `silu`.
    """

    input_linear: FloatArray
    layers: tuple[LayerWeights, ...]
    output_linear: Affine
    norm: Affine
    num_heads: int
    activation: str

    @property
    def dim(self) -> int:
        """Width of the layers."""
        return len(self.layers[0].out_proj.weight)

    @property
    def neurons(self) -> int:
        """Neurons of each feed-forward network."""
        return len(self.layers[0].ffn_in.weight)


def read_weights(manifest: Manifest) -> EncoderWeights:
    """The weights of the float encoder for ONNX Runtime.

    Raises:
        UsageError: the artifact has no such graph, or its model has a memory bank.
        ArtifactError: the graph is not an encoder as emf-export writes it.
    """
    variant = Variant("onnxruntime", FLOAT)
    if variant not in manifest.variants:
        raise UsageError(
            f"{manifest.root}: expected a variant {variant}, whose weights --what-if reads; export with "
            "--backends onnxruntime,openvino"
        )
    if manifest.geometry.max_memory_size:
        raise UsageError(
            f"{manifest.root}: expected a model without a memory bank, found {manifest.geometry.max_memory_size} "
            "memory vectors; --what-if does not measure such models"
        )
    graph = manifest.variant(variant)["encoder"]
    model = read_graph(manifest.path(graph.files[0])).graph
    tensors = {t.name: numpy_helper.to_array(t) for t in model.initializer}
    found = {_ACTIVATIONS[node.op_type] for node in model.node if node.op_type in _ACTIVATIONS}
    first = next((node.input[1] for node in model.node if node.op_type == "MatMul" and node.input[1] in tensors), "")
    cache = next((t.shape for t in graph.inputs if t.name == "attention_cache"), None)
    count = len({name.split(".")[1] for name in tensors if name.startswith("layers.")})
    try:
        layers = tuple(_layer(tensors, index) for index in range(count))
        heads = _heads(layers, cache)
        return EncoderWeights(
            input_linear=np.asarray(tensors[first], np.float32),
            layers=layers,
            output_linear=_affine(tensors, "output_linear"),
            norm=_affine(tensors, "layer_norm"),
            num_heads=heads,
            activation=found.pop(),
        )
    except (KeyError, IndexError, ValueError) as error:
        raise ArtifactError(
            f"{manifest.root}: expected the encoder's weights in {graph.files[0].path} as emf-export names them, "
            f"found none for {error}; --what-if takes unconverted artifacts with a left context: export again"
        ) from error


def _heads(layers: tuple[LayerWeights, ...], cache: tuple[int | None, ...] | None) -> int:
    """Heads, from the shape of the cache (rows, layers * 2 * heads, left context, head_dim)."""
    if cache is None or cache[3] is None:
        raise KeyError("attention_cache")
    return len(layers[0].out_proj.weight) // cache[3]


def _layer(tensors: Mapping[str, np.ndarray], index: int) -> LayerWeights:
    layer, attention = f"layers.{index}", f"attentions.{index}"
    return LayerWeights(
        norm_input=_affine(tensors, f"{layer}.layer_norm_input"),
        projection=_affine(tensors, f"{attention}.projection"),
        out_proj=_affine(tensors, f"{attention}.out_proj"),
        norm_ffn=_affine(tensors, f"{layer}.pos_ff.0"),
        ffn_in=_affine(tensors, f"{layer}.pos_ff.1"),
        ffn_out=_affine(tensors, f"{layer}.pos_ff.4"),
        norm_output=_affine(tensors, f"{layer}.layer_norm_output"),
    )


def _affine(tensors: Mapping[str, np.ndarray], name: str) -> Affine:
    weight, bias = (np.asarray(tensors[f"{name}.{part}"], np.float32) for part in ("weight", "bias"))
    return Affine(weight, bias)
