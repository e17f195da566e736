"""Streams that are decoded together lie in one block of memory, so that no batch needs a copy of their states.

The keys and values of 16 streams of the base model are 38 MiB. A graph that reads rings by row takes the block and the
rows; `tools/measure_encoder.py` measures what that spares.
"""

from collections.abc import Sequence
from threading import Lock
from weakref import WeakSet, ref

import numpy as np

from emf.runtime.arrays import Array, Arrays, IdArray
from emf.runtime.inference.encoder_state import EncoderState, StateLayout
from emf.runtime.inference.state_block import Row, StateBlock

_RESERVED_BYTES = 2**30
"""Addresses of the first block, for 436 streams of the base model. Only rows in which streams lie take memory."""
_FEWEST_ROWS = 16


class StatePool:
    """Brings streams into one block; safe to call from several threads at once, each with streams of its own.

    A block never grows. When there is no room, one with twice as many rows as there are streams takes its place, and
    streams move there at the next batch that they are in. A row that a stream leaves gives its memory back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks: WeakSet[StateBlock] = WeakSet()
        self._newest: ref[StateBlock] | None = None

    def inputs(self, states: Sequence[EncoderState], num_rows: int) -> dict[str, Array]:
        """The rings of n streams and their rows, as inputs of a graph that reads rings by row; empty for others.

        A stream that is decoded alone stays where it is if it lies in any block, be it another pool's.

        Args:
            states: of each stream.
            num_rows: size of the graph's batch, at least n; what comes after the n-th stream is one of the streams.
        """
        by_row = [tensor for tensor in states[0].layout if tensor.spec.rows]
        if not by_row:
            return {}
        rows = np.zeros(num_rows, np.int64)
        if num_rows == 1 and states[0].row is not None:
            rings: Arrays = states[0].arrays
        else:
            rings, rows[: len(states)] = self.bring_together(states)
            rows[len(states) :] = rows[0]
        return {tensor.name: rings[tensor.name] for tensor in by_row} | {
            tensor.spec.rows: rows for tensor in by_row if tensor.spec.rows
        }

    def bring_together(self, states: Sequence[EncoderState]) -> tuple[Arrays, IdArray]:
        """The block in which the rings of all these streams lie, and the row of each. Others may lie there, too."""
        block, moves = self._places(states)
        for state, row in moves:
            state.move(row)
        return block.arrays, np.array([state.row.index for state in states if state.row is not None], np.int64)

    def _places(self, states: Sequence[EncoderState]) -> tuple[StateBlock, list[tuple[EncoderState, Row]]]:
        """The block to use, and a row of it for every stream that lies elsewhere."""
        with self._lock:
            block = None if self._newest is None else self._newest()
            outside = [state for state in states if state.row is None or state.row.block is not block]
            if block is None or block.num_free < len(outside):
                used = sum(known.num_used for known in self._blocks)
                block, outside = self._open(states[0].layout, used + len(outside)), list(states)
            return block, [(state, block.take()) for state in outside]

    def _open(self, layout: StateLayout, num_streams: int) -> StateBlock:
        """A block with twice as many rows as these streams need; with fewer where addresses are scarce."""
        rings = {tensor.name: tensor.zeros[0] for tensor in layout if tensor.spec.rows}
        reserved = _RESERVED_BYTES // sum(ring.nbytes for ring in rings.values())
        few = max(_FEWEST_ROWS, 2 * num_streams)
        try:
            block = StateBlock(max(few, reserved), rings)
        except OSError:
            block = StateBlock(few, rings)
        self._blocks.add(block)
        self._newest = ref(block)
        return block
