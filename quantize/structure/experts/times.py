"""What all layers' feed-forward networks cost on this machine: whole, halved, and cut into experts."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import openvino

from emf.quantize.compress import compress
from emf.quantize.recipe import GraphRecipe
from emf.quantize.structure.experts.graphs import write_all, write_chosen, write_dense
from emf.quantize.structure.rows import FeedForwardTime
from emf.quantize.structure.timing import median_ms, open_graph
from emf.quantize.structure.weights import Affine, EncoderWeights
from emf.runtime.arrays import FloatArray
from emf.runtime.errors import EmfError

BATCHES = (1, 16, 60)
DENSE_INT8, HALF_INT8 = "dense INT8", "dense INT8, half the neurons"
DENSE = "dense float32"
_CALIBRATED = 8


@dataclass(frozen=True, slots=True)
class Routing:
    """Scores of experts on real speech.

    Attributes:
        experts: of each layer.
        chosen: of them, for every row.
        scores: of each layer, (steps, rows a step, E).
    """

    experts: int
    chosen: int
    scores: Sequence[FloatArray]

    def drawn(self, streams: int, random: np.random.Generator) -> FloatArray:
        """Scores of a batch of streams, each in another step of the speech, (layers, rows, E)."""
        steps = random.integers(len(self.scores[0]), size=streams)
        return np.stack([layer[steps].reshape(-1, self.experts) for layer in self.scores])


@dataclass(frozen=True, slots=True)
class _Form:
    backend: str
    name: str
    write: Callable[[Path], Path]
    routing: Routing | None = None
    int8: bool = False


def feed_forward_times(
    weights: EncoderWeights, rows: int, routings: Sequence[Routing], num_threads: int, step: Callable[[str], None]
) -> tuple[FeedForwardTime, ...]:
    """Time every form in every backend, one after the other.

    Args:
        weights: of the encoder.
        rows: that a stream adds to a batch in a step.
        routings: settings of experts.
        num_threads: of the backends.
        step: told what comes next.
    """
    found = []
    for form in _forms(weights, routings):
        step(f"experts: {form.name}, {form.backend}")
        found.append(_time(form, weights.dim, rows, num_threads))
    return tuple(found)


def _forms(weights: EncoderWeights, routings: Sequence[Routing]) -> Iterator[_Form]:
    for backend in ("onnxruntime", "openvino"):
        yield _Form(backend, DENSE, partial(write_dense, weights=weights))
        yield _Form(backend, DENSE_INT8, partial(write_dense, weights=weights), int8=True)
        yield _Form(backend, HALF_INT8, partial(write_dense, weights=_halved(weights)), int8=True)
    for routing in routings:
        chosen = partial(write_chosen, weights=weights, experts=routing.experts, chosen=routing.chosen)
        yield _Form("onnxruntime", "MoE float32", partial(chosen, quantized=False), routing)
        yield _Form("onnxruntime", "QMoE INT8", partial(chosen, quantized=True), routing)
    for experts, routing in {routing.experts: routing for routing in routings}.items():
        write, whole = partial(write_all, weights=weights, experts=experts), replace(routing, chosen=experts)
        yield _Form("openvino", "all experts, float32", write, whole)
        yield _Form("openvino", "all experts, INT8", write, whole, int8=True)


def _halved(weights: EncoderWeights) -> EncoderWeights:
    """The sizes of half the neurons; their values do not matter for the time."""
    count = weights.neurons // 2
    layers = tuple(
        replace(
            layer,
            ffn_in=Affine(layer.ffn_in.weight[:count], layer.ffn_in.bias[:count]),
            ffn_out=Affine(layer.ffn_out.weight[:, :count], layer.ffn_out.bias),
        )
        for layer in weights.layers
    )
    return replace(weights, layers=layers)


def _time(form: _Form, dim: int, rows: int, num_threads: int) -> FeedForwardTime:
    experts, chosen = (form.routing.experts, form.routing.chosen) if form.routing else (0, 0)
    random, milliseconds = np.random.default_rng(0), {}

    def inputs(streams: int) -> dict[str, FloatArray]:
        given = {"x": random.standard_normal((1, streams * rows, dim), np.float32)}
        return given | ({"routing": form.routing.drawn(streams, random)} if form.routing else {})

    try:
        with tempfile.TemporaryDirectory() as folder:
            samples = [inputs(1) for _ in range(_CALIBRATED)]
            run = open_graph(form.backend, _written(form, Path(folder), samples), num_threads)
            for streams in BATCHES:
                milliseconds[str(streams)] = median_ms(run, inputs(streams))
    except EmfError as error:
        return FeedForwardTime(form.backend, form.name, experts, chosen, {}, str(error))
    return FeedForwardTime(form.backend, form.name, experts, chosen, milliseconds)


def _written(form: _Form, folder: Path, samples: Sequence[Mapping[str, FloatArray]]) -> Path:
    """The form's graph as a file of its backend."""
    path = form.write(folder / "graph.onnx")
    if form.backend == "openvino":
        model = openvino.convert_model(str(path))
        path = folder / "graph.xml"
        openvino.save_model(model, str(path), compress_to_fp16=False)
    if not form.int8:
        return path
    try:
        return compress(form.backend, path, path.with_stem("int8"), GraphRecipe("int8"), list(samples))[0]
    except Exception as error:  # NNCF and ONNX raise types of their own
        raise EmfError(f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}") from error
