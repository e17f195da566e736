"""The encoder in PyTorch over whole recordings, many segments in a pass."""

from collections.abc import Iterator

import torch
from torch import Tensor

from emf.export.graphs.encoder import EncoderGraph
from emf.export.graphs.states import STREAM_ROWS
from emf.export.model import SourceModel
from emf.runtime.arrays import FloatArray
from emf.runtime.audio.features import feature_extractor
from emf.runtime.audio.sample_buffer import SampleBuffer

PASS_SEGMENTS = 32
"""Segments in a pass at the most: the masks and scores of a pass grow with the square of its length."""


def encoder_of(source: SourceModel, cache: str = "float32") -> EncoderGraph:
    """The encoder of a model, as it is exported with this format of its cache."""
    return EncoderGraph(source.rnnt.transcriber, source.geometry, cache, source.latents).eval()


def feature_windows(source: SourceModel, samples: FloatArray) -> Tensor:
    """The features of a recording's steps with the model's own frontend, (steps, step length, input_dim)."""
    frontend, geometry = source.frontend, source.geometry
    extractor = feature_extractor(frontend.default, frontend, geometry)
    padding = round(frontend.tail_padding * frontend.sample_rate) if frontend.default == "continuous" else 0
    buffer = SampleBuffer(torch.nn.functional.pad(torch.from_numpy(samples), (0, padding)).numpy(), finished=True)
    steps: list[Tensor] = []
    while extractor.is_ready(buffer, len(steps)):
        steps.append(torch.from_numpy(extractor.extract(buffer, len(steps))))
    return torch.stack(steps) if steps else torch.zeros(0, geometry.step_length, geometry.input_dim)


def encode(graph: EncoderGraph, steps: Tensor) -> Tensor:
    """The encodings of a recording, (steps * frames, encoding_dim)."""
    passes = list(_passes(graph, steps))
    return torch.cat(passes) if passes else torch.zeros(0, graph.geometry.encoding_dim)


def _passes(graph: EncoderGraph, steps: Tensor) -> Iterator[Tensor]:
    inputs = graph.states.example_inputs(1)
    states = {name: torch.zeros_like(tensor) for name, tensor in inputs.items()}
    specs, done = graph.states.tensors, 0
    rows = [tensor for name, tensor in states.items() if name == STREAM_ROWS]
    for group in torch.split(steps, PASS_SEGMENTS):
        with torch.inference_mode():
            encoding, *new = graph(group.flatten(0, 1)[None], *(states[spec.name] for spec in specs), *rows)
        done += len(group)
        for spec, value in zip(specs, new, strict=True):
            if spec.update == "replace":
                states[spec.name] = value
            else:
                per_step = 1 if spec.name == "memory" else graph.geometry.frames_per_step
                _write(states[spec.name], value, spec.axis, done * per_step)
        yield encoding[0]


def _write(ring: Tensor, new: Tensor, axis: int, end: int) -> None:
    """The new entries, of which the last is number `end - 1` of the stream, over the oldest ones of row 0."""
    count = min(new.shape[axis], ring.shape[axis])
    places = torch.arange(end - count, end) % ring.shape[axis]
    ring[:1].index_copy_(axis, places, new.narrow(axis, new.shape[axis] - count, count).to(ring.dtype))
