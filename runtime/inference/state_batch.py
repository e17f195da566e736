"""Encoder states of many streams as the inputs of one batch.

What a graph reads by row stays where it lies (`emf.runtime.inference.state_pool`). The rest is laid side by side, in
buffers that are used again. For graphs exported before, that is everything: the keys and values of 16 streams of the
base model are 38 MiB, fresh memory for them at every step costs as much time as copying them, and one thread copies
at half of what the memory gives two.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from queue import Empty, SimpleQueue

import numpy as np

from emf.runtime.arrays import Array
from emf.runtime.inference.batch_sizes import batch_rows
from emf.runtime.inference.encoder_state import EncoderState
from emf.runtime.inference.state_pool import StatePool

_SHARED_BYTES = 2**22
"""A copy of so many bytes is worth handing to several threads."""


class StateBatcher:
    """Makes inputs of states; safe to call from several threads at once.

    Args:
        num_threads: threads that copy.
    """

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads
        self._pool = ThreadPoolExecutor(num_threads, "emf-state") if num_threads > 1 else None
        self._free: SimpleQueue[dict[str, Array]] = SimpleQueue()
        self._rings = StatePool()

    @contextmanager
    def batch(self, states: Sequence[EncoderState], num_rows: int) -> Iterator[dict[str, Array]]:
        """The states of n streams as a graph's inputs for a batch of `num_rows`, valid within the block.

        Args:
            states: of each stream.
            num_rows: at least n; what comes after the n-th stream is anything finite.
        """
        rings = self._rings.inputs(states, num_rows)
        if num_rows == 1:
            yield dict(states[0].arrays) | rings
            return
        try:
            buffers = self._free.get_nowait()
        except Empty:
            buffers = {}
        try:
            yield rings | {
                tensor.name: self._side_by_side(
                    [state.arrays[tensor.name] for state in states],
                    tensor.batch_axis,
                    _buffer_for(tensor.name, states[0].arrays[tensor.name], tensor.batch_axis, num_rows, buffers),
                )
                for tensor in states[0].layout
                if not tensor.spec.rows
            }
        finally:
            self._free.put(buffers)

    def _side_by_side(self, arrays: Sequence[Array], axis: int, out: Array) -> Array:
        count = len(arrays)
        parts = self._num_threads if count * arrays[0].nbytes >= _SHARED_BYTES else 1
        ends = [count * part // parts for part in range(parts + 1)]
        spans = [(low, high) for low, high in pairwise(ends) if low < high]

        def copy(span: tuple[int, int]) -> None:
            low, high = span
            np.concatenate(arrays[low:high], axis, out=batch_rows(out, axis, low, high))

        list((self._pool.map if self._pool and len(spans) > 1 else map)(copy, spans))
        return out


def _buffer_for(name: str, one: Array, axis: int, num_rows: int, buffers: dict[str, Array]) -> Array:
    """A contiguous array of `num_rows` rows: a part of the buffer kept for this name, or a new buffer."""
    known = buffers.get(name)
    fits = known is not None and (known.shape[axis] == num_rows or (axis == 0 and len(known) > num_rows))
    if known is None or not fits:
        known = buffers[name] = np.zeros((*one.shape[:axis], num_rows, *one.shape[axis + 1 :]), one.dtype)
    return batch_rows(known, axis, 0, num_rows)
