"""What-if `geometry`: the same weights with other lengths, without training."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emf.quantize.structure.encoder import Encoder
from emf.quantize.structure.encoder_graph import write_step
from emf.quantize.structure.rows import GeometryRow
from emf.quantize.structure.speech import Said, Speech, with_lengths, words
from emf.quantize.structure.timing import median_ms, open_graph
from emf.quantize.structure.weights import EncoderWeights
from emf.runtime.artifact.manifest import Geometry, Manifest

_SEGMENTS = ((1, 2), (3, 4), (3, 2), (2, 1))
_LEFT = ((1, 2), (3, 4), (3, 2))
_FLOAT_BYTES = 4


def grid(trained: Geometry) -> list[Geometry]:
    """The trained geometry, then those that differ in one length, or have a shorter segment with more to its right.

    Segments and right contexts are whole encoder frames, as torchaudio's streaming needs.
    """
    stride = trained.subsampling_factor
    segment, right, left = trained.segment_length, trained.right_context_length, trained.left_context_length

    def frames(length: int, part: int, whole: int) -> int:
        return max(length * part // whole // stride, 1) * stride

    shorter = [frames(segment, *share) for share in _SEGMENTS]
    wider = right + max(right // stride, 1) * stride
    lengths = [(segment, right, left), *((s, right, left) for s in shorter)]
    lengths += [(segment, 0, left), (segment, wider, left), (shorter[1], wider, left)]
    lengths += [(segment, right, max(left * part // whole, 1)) for part, whole in _LEFT if left]
    return [with_lengths(trained, *one) for one in dict.fromkeys(lengths)]


def what_if_geometry(
    speech: Speech, weights: EncoderWeights, said: Said, num_threads: int, step: Callable[[str], None]
) -> tuple[GeometryRow, ...]:
    """Measure every geometry of the grid."""
    manifest, rows = speech.recognizer.transducer.manifest, []
    with tempfile.TemporaryDirectory() as folder:
        for geometry in grid(manifest.geometry):
            row = _names(manifest, geometry)
            step(f"geometry: {row[0]}+{row[1]} ms")
            as_trained = geometry == manifest.geometry
            other = said if as_trained else speech.said(speech.search(speech.encode(Encoder(weights, geometry))))
            took = _step_ms(Path(folder) / "step.onnx", weights, geometry, num_threads)
            rows.append(
                GeometryRow(
                    *row,
                    as_trained=as_trained,
                    words=words(said, other),
                    latency_ms=row[0] + row[1],
                    state_bytes=_FLOAT_BYTES * 2 * len(weights.layers) * geometry.left_context_length * weights.dim,
                    step_ms=took,
                    load=took / row[0],
                )
            )
    return tuple(rows)


def _names(manifest: Manifest, geometry: Geometry) -> tuple[int, int, int]:
    """Segment, right and left context in milliseconds."""
    frame = 1e3 * manifest.frontend.samples(1) / manifest.frontend.sample_rate
    left = geometry.left_context_length * geometry.subsampling_factor
    lengths = (geometry.segment_length, geometry.right_context_length, left)
    segment, right, past = (round(frame * length) for length in lengths)
    return segment, right, past


def _step_ms(path: Path, weights: EncoderWeights, geometry: Geometry, num_threads: int) -> float:
    run = open_graph("onnxruntime", write_step(path, weights, geometry), num_threads)
    heads, left = weights.num_heads, geometry.left_context_length
    random = np.random.default_rng(0)
    features = random.standard_normal((1, geometry.step_length, len(weights.input_linear)), np.float32)
    cache = random.standard_normal((2 * len(weights.layers), heads, left, weights.dim // heads), np.float32)
    return median_ms(run, {"features": features, "cache": cache})
