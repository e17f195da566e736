"""How many real-time streams can be carried, from what batches were seen to take."""

import math

# Older batches count less and less: the load, and what else runs on the machine, changes.
_FORGETTING = 0.995
# Share of the time that may be planned for; the rest is for batches that take longer than most.
_SHARE = 0.8
_NO_LIMIT = 100_000


class BatchTimes:
    """A line through batch sizes and seconds seen: seconds = fixed + size * each."""

    def __init__(self) -> None:
        self._weight = self._n = self._t = self._nn = self._nt = 0.0

    def add(self, size: int, seconds: float) -> None:
        """Take note of one batch."""
        keep = _FORGETTING
        self._weight = keep * self._weight + 1.0
        self._n, self._t = keep * self._n + size, keep * self._t + seconds
        self._nn, self._nt = keep * self._nn + size * size, keep * self._nt + size * seconds

    def line(self) -> tuple[float, float]:
        """Fixed seconds of a batch, and seconds of each stream in it; zeros while nothing is known."""
        if not self._weight:
            return 0.0, 0.0
        mean_n, mean_t = self._n / self._weight, self._t / self._weight
        variance = self._nn / self._weight - mean_n**2
        slope = (self._nt / self._weight - mean_n * mean_t) / variance if variance > 1e-6 * mean_n**2 else math.inf
        # All of one size, or of a scatter that hides the slope: as if nothing were fixed, the cautious reading.
        if not 0.0 < slope <= mean_t / mean_n:
            return 0.0, mean_t / mean_n
        return mean_t - slope * mean_n, slope

    def expected(self, size: int) -> float:
        """Seconds that a batch of this size is expected to take."""
        fixed, each = self.line()
        return fixed + size * each

    def capacity(self, deadline: float, period: float, max_wait: float) -> int:
        """Streams that can be carried.

        At worst a chunk waits for others, then for a batch that has just begun, then for its own; the two
        batches hold every stream once. And all streams must be decoded once in a segment's time.

        Args:
            deadline: seconds from a complete chunk to its result.
            period: length of a segment, seconds.
            max_wait: seconds that a chunk waits for others.
        """
        fixed, each = self.line()
        if each <= 0.0:
            return _NO_LIMIT
        budget = _SHARE * min(deadline - max_wait, period) - 2.0 * fixed
        return min(max(int(budget / each), 0), _NO_LIMIT)
