"""The samples that a stream still needs."""

from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from emf.runtime.arrays import FloatArray


@dataclass(slots=True)
class SampleBuffer:
    """The samples that a stream still needs, and where they lie in the whole of its audio.

    One thread may append while another reads and drops.

    Attributes:
        samples: mono audio at the model's rate, from index `start` on.
        start: index of `samples[0]` in the stream.
        finished: no more samples will come.
    """

    samples: FloatArray
    start: int = 0
    finished: bool = False
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def end(self) -> int:
        """Index one past the last sample that has come."""
        with self._lock:
            return self.start + len(self.samples)

    def append(self, samples: FloatArray) -> None:
        """Add a copy of samples at the end: the caller may reuse its buffer."""
        with self._lock:
            self.samples = np.concatenate([self.samples, samples])

    def drop_before(self, index: int) -> None:
        """Forget the samples before `index`."""
        with self._lock:
            count = min(max(index - self.start, 0), len(self.samples))
            self.samples = self.samples[count:]
            self.start += count

    def span(self, low: int, high: int) -> FloatArray:
        """Samples [low, high), as far as they exist."""
        with self._lock:
            return self.samples[max(low - self.start, 0) : max(high - self.start, 0)]
