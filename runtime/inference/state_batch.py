"""Encoder states of many streams laid side by side for one batch, in buffers that are used again.

The keys and values of 16 streams of the base model are 38 MiB: fresh memory for them at every step costs as much
time as copying them, and one thread copies at half of what the memory gives two.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from queue import Empty, SimpleQueue

import numpy as np

from emf.runtime.arrays import Array

_SHARED_BYTES = 2**22
"""A copy of so many bytes is worth handing to several threads."""


class StateBatcher:
    """Lays states side by side; safe to call from several threads at once.

    Args:
        num_threads: threads that copy.
    """

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads
        self._pool = ThreadPoolExecutor(num_threads, "emf-state") if num_threads > 1 else None
        self._free: SimpleQueue[dict[str, Array]] = SimpleQueue()

    @contextmanager
    def batch(self, states: Sequence[Mapping[str, Array]], num_rows: int) -> Iterator[dict[str, Array]]:
        """The states of n streams as arrays of `num_rows` rows, valid within the block.

        Args:
            states: of each stream, arrays with 1 on axis 0.
            num_rows: at least n; what stands in the rows after the n-th is anything finite.
        """
        if num_rows == 1:
            yield dict(states[0])
            return
        try:
            buffers = self._free.get_nowait()
        except Empty:
            buffers = {}
        try:
            yield {
                name: self._side_by_side(name, [state[name] for state in states], num_rows, buffers)
                for name in states[0]
            }
        finally:
            self._free.put(buffers)

    def _side_by_side(self, name: str, arrays: Sequence[Array], num_rows: int, buffers: dict[str, Array]) -> Array:
        count, one = len(arrays), arrays[0]
        if name not in buffers or len(buffers[name]) < num_rows:
            buffers[name] = np.zeros((num_rows, *one.shape[1:]), one.dtype)
        out = buffers[name][:num_rows]
        parts = self._num_threads if count * one.nbytes >= _SHARED_BYTES else 1
        ends = [count * part // parts for part in range(parts + 1)]
        spans = [(low, high) for low, high in pairwise(ends) if low < high]

        def copy(span: tuple[int, int]) -> None:
            low, high = span
            np.concatenate(arrays[low:high], out=out[low:high])

        list((self._pool.map if self._pool and len(spans) > 1 else map)(copy, spans))
        return out
