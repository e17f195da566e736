"""What the encoder keeps of one stream between two steps, laid out as the manifest says."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emf.runtime.arrays import Array, Arrays
from emf.runtime.artifact.manifest import GraphSpec, StateSpec, TensorSpec
from emf.runtime.inference.batch_sizes import batch_rows
from emf.runtime.inference.state_block import Row


@dataclass(frozen=True)
class StateTensor:
    """One tensor of an encoder's state.

    Attributes:
        spec: how it is updated.
        tensor: the graph's input.
        new: the graph's output.
    """

    spec: StateSpec
    tensor: TensorSpec
    new: TensorSpec

    @cached_property
    def name(self) -> str:
        """Name of the graph's input."""
        return self.spec.input

    @cached_property
    def batch_axis(self) -> int:
        """Axis on which streams lie side by side."""
        return self.tensor.batch_axis

    @cached_property
    def entries_per_step(self) -> int:
        """Entries of a ring that one step writes; 0 for a tensor that is replaced."""
        return 0 if self.spec.update == "replace" else self.new.shape[self.spec.axis] or 0

    @cached_property
    def zeros(self) -> Array:
        """Before the first step, for a batch of one stream; read-only."""
        zeros: Array = np.zeros([size or 1 for size in self.tensor.shape], self.tensor.dtype)
        zeros.flags.writeable = False
        return zeros


StateLayout = tuple[StateTensor, ...]


def state_layout(graph: GraphSpec) -> StateLayout:
    """The state tensors of a graph."""
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    outputs = {tensor.name: tensor for tensor in graph.outputs}
    return tuple(StateTensor(spec, inputs[spec.input], outputs[spec.output]) for spec in graph.states)


def bytes_a_stream(encoder: GraphSpec) -> int:
    """Bytes that a stream keeps between two steps for its encoder."""
    return sum(state.zeros.nbytes for state in state_layout(encoder))


def _converts(given: np.dtype[Any], kept: np.dtype[Any]) -> bool:
    """Whether numbers of a type mean the same in another. Whole numbers of 8 bits count units."""
    return given == kept or given.kind == kept.kind == "f"


@dataclass(slots=True)
class EncoderState:
    """The encoder's state of one stream. The stream that owns it is the only one to change it.

    Attributes:
        layout: its tensors.
        arrays: by name, each with a batch of 1. Before the first step they are zeros that all streams share.
        written: entries written to each ring since the stream began.
        row: where the rings that are read by row lie, among those of other streams; `None` in memory of their own.
    """

    layout: StateLayout
    arrays: dict[str, Array]
    written: dict[str, int]
    row: Row | None = None

    @classmethod
    def initial(cls, layout: StateLayout) -> "EncoderState":
        """Before the first step: zeros."""
        return cls(layout, {state.name: state.zeros for state in layout}, {state.name: 0 for state in layout})

    @classmethod
    def after(cls, steps: int, layout: StateLayout, arrays: Mapping[str, Array]) -> "EncoderState":
        """After a number of steps, from the arrays that the stream had then.

        Raises:
            ValueError: an array is missing, not of this layout, has another shape, or is not finite.
        """
        restored = cls.initial(layout)
        if foreign := sorted(arrays.keys() - restored.arrays.keys()):  # without it, others may mean something else
            raise ValueError(f"{foreign[0]}: expected no such state, found one")
        for state in layout:
            target, source = restored.arrays[state.name], arrays.get(state.name)
            if source is None or source.shape != target.shape or not _converts(source.dtype, target.dtype):
                found = "none" if source is None else f"{source.dtype} of shape {source.shape}"
                raise ValueError(f"{state.name}: expected {target.dtype} of shape {target.shape}, found {found}")
            if not np.isfinite(source).all():
                raise ValueError(f"{state.name}: expected finite numbers, found others")
            restored.arrays[state.name] = source.astype(target.dtype)
            restored.written[state.name] = steps * state.entries_per_step
        return restored

    def move(self, row: Row) -> None:
        """Bring the rings that are read by row there."""
        moved = row.arrays
        for name, array in moved.items():
            array[...] = self.arrays[name]
        self.arrays = self.arrays | moved
        self.row = row

    def write(self, outputs: Arrays, row: int, segments: int = 1) -> None:
        """Take over what a pass over so many segments of a batch of streams gave for the stream in this row."""
        for state in self.layout:
            new = batch_rows(outputs[state.spec.output], state.batch_axis, row, row + 1)
            if state.spec.update == "replace":
                self.arrays[state.name] = new.copy()
            else:
                self._write_ring(state, new, segments)

    def _write_ring(self, state: StateTensor, new: Array, segments: int) -> None:
        """Overwrite the oldest entries. Of a pass, the last entries that the ring has room for are written."""
        if not self.arrays[state.name].flags.writeable:
            self.arrays[state.name] = self.arrays[state.name].copy()
        ring = np.moveaxis(self.arrays[state.name], state.spec.axis, 0)
        written = segments * state.entries_per_step
        capacity = len(ring)
        count = min(written, capacity)
        entries = np.moveaxis(new, state.spec.axis, 0)[-count:]
        self.written[state.name] += written
        begin = (self.written[state.name] - count) % capacity
        first = min(count, capacity - begin)
        ring[begin : begin + first] = entries[:first]
        ring[: count - first] = entries[first:]

    def in_time_order(self, name: str) -> Array:
        """A tensor with its ring unrolled, oldest entries first."""
        (state,) = (state for state in self.layout if state.name == name)
        if state.spec.update == "replace":
            return self.arrays[name]
        return np.roll(self.arrays[name], -self.written[name], axis=state.spec.axis)
