"""An encoder graph's module run step after step in PyTorch."""

import numpy as np
import torch

from emf.export.graphs.encoder import EncoderGraph
from emf.export.graphs.states import STREAM_ROWS
from emf.runtime.artifact.manifest import StateSpec


class Chain:
    """An encoder graph with its states kept as the runtime keeps them, for a batch, in rows of another order."""

    def __init__(self, graph: EncoderGraph, specs: tuple[StateSpec, ...], batch: int) -> None:
        self.graph, self.specs, self.steps = graph, specs, 0
        example = graph.example_inputs(batch)
        example["features"] = example["features"].to(graph.output_linear.weight.dtype)
        self.rows = torch.arange(batch).flip(0) + 1
        self.more = [self.rows] if STREAM_ROWS in example else []
        new = graph(*example.values())[1:]
        self.entries = [value.shape[spec.axis] for spec, value in zip(specs, new, strict=True)]
        self.states = [
            torch.zeros_like(example[spec.input], dtype=value.dtype) for spec, value in zip(specs, new, strict=True)
        ]

    def step(self, features: torch.Tensor) -> torch.Tensor:
        """One pass over as many segments as the features are windows long."""
        encoding: torch.Tensor
        encoding, *new = self.graph(features, *self.states, *self.more)
        segments = features.shape[1] // self.graph.geometry.step_length
        self.steps += segments
        for index, (spec, value) in enumerate(zip(self.specs, new, strict=True)):
            if spec.update == "ring":
                ring = self.states[index]
                end = self.steps * self.entries[index]
                where = torch.arange(end - value.shape[spec.axis], end) % ring.shape[spec.axis]
                for target, entry in zip(where.tolist(), value.unbind(spec.axis), strict=True):
                    ring.select(spec.axis, target)[self.rows] = entry
            else:
                self.states[index] = value
        return encoding

    def in_time_order(self) -> dict[str, np.ndarray]:
        """The states by name, rings unrolled with the oldest entries first."""
        found = {}
        for spec, value, count in zip(self.specs, self.states, self.entries, strict=True):
            rolled = torch.roll(value[self.rows], -self.steps * count, spec.axis) if spec.update == "ring" else value
            found[spec.input] = rolled.numpy()
        return found
