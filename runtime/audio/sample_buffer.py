"""The samples that a stream still needs."""

from threading import Lock

import numpy as np

from emf.runtime.arrays import FloatArray


class SampleBuffer:
    """The samples that a stream still needs, and where they lie in the whole of its audio.

    One thread may append while another reads and drops. What was read stays as it is: samples are
    written behind those that are there, or into new memory of twice the size.

    Attributes:
        start: index of `samples[0]` in the stream.
        finished: no more samples will come.
    """

    __slots__ = ("_begin", "_end", "_lock", "_store", "finished", "start")

    def __init__(self, samples: FloatArray, start: int = 0, finished: bool = False) -> None:
        """Begin with samples that lie at `start`; they are not copied, and never written to."""
        self.start = start
        self.finished = finished
        self._store = samples
        self._begin, self._end = 0, len(samples)
        self._lock = Lock()

    @property
    def samples(self) -> FloatArray:
        """Mono audio at the model's rate, from index `start` on."""
        with self._lock:
            return self._store[self._begin : self._end]

    @property
    def end(self) -> int:
        """Index one past the last sample that has come."""
        with self._lock:
            return self.start + self._end - self._begin

    def append(self, samples: FloatArray) -> None:
        """Add a copy of samples at the end: the caller may reuse its buffer."""
        with self._lock:
            end = self._end + len(samples)
            if end > len(self._store):
                kept = self._store[self._begin : self._end]
                end = len(kept) + len(samples)
                self._store = np.empty(2 * end, np.float32)
                self._store[: len(kept)] = kept
                self._begin, self._end = 0, len(kept)
            self._store[self._end : end] = samples
            self._end = end

    def drop_before(self, index: int) -> None:
        """Forget the samples before `index`."""
        with self._lock:
            count = min(max(index - self.start, 0), self._end - self._begin)
            self._begin += count
            self.start += count

    def span(self, low: int, high: int) -> FloatArray:
        """Samples [low, high), as far as they exist."""
        with self._lock:
            first, last = (min(max(index - self.start, 0), self._end - self._begin) for index in (low, high))
            return self._store[self._begin + first : self._begin + max(first, last)]
