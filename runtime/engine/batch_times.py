"""How many real-time streams an engine can serve, estimated from its batch times."""

import math

# Older batches count less and less: the load changes, and so does what else runs on the machine.
_FORGETTING = 0.995
# Share of the time to plan with; the rest is for batches that take longer than most.
_SHARE = 0.8
_NO_LIMIT = 100_000


class BatchTimes:
    """A line through measured batches: seconds = fixed + size * each."""

    def __init__(self) -> None:
        self._weight = self._n = self._t = self._nn = self._nt = 0.0

    def add(self, size: int, seconds: float) -> None:
        """Add the measurement of one batch."""
        keep = _FORGETTING
        self._weight = keep * self._weight + 1.0
        self._n, self._t = keep * self._n + size, keep * self._t + seconds
        self._nn, self._nt = keep * self._nn + size * size, keep * self._nt + size * seconds

    def line(self) -> tuple[float, float]:
        """Fixed seconds of a batch, and seconds of each stream in it; zeros before the first batch."""
        if not self._weight:
            return 0.0, 0.0
        mean_n, mean_t = self._n / self._weight, self._t / self._weight
        variance = self._nn / self._weight - mean_n**2
        slope = (self._nt / self._weight - mean_n * mean_t) / variance if variance > 1e-6 * mean_n**2 else math.inf
        # One size only, or too much scatter for a slope: assume no fixed part, which is the cautious estimate.
        if not 0.0 < slope <= mean_t / mean_n:
            return 0.0, mean_t / mean_n
        return mean_t - slope * mean_n, slope

    def expected(self, size: int) -> float:
        """Expected seconds of a batch of this size."""
        fixed, each = self.line()
        return fixed + size * each

    def capacity(self, deadline: float, period: float, max_wait: float) -> int:
        """How many streams one worker can serve.

        At worst a chunk waits for others, then for a batch that has just begun, then for its own. The two
        batches hold every stream once. Besides, a segment's time must suffice to decode all streams once.

        Args:
            deadline: seconds from a complete chunk to its result.
            period: length of a segment, seconds.
            max_wait: seconds for which a chunk waits for others.
        """
        fixed, each = self.line()
        if each <= 0.0:
            return _NO_LIMIT
        budget = _SHARE * min(deadline - max_wait, period) - 2.0 * fixed
        return min(max(int(budget / each), 0), _NO_LIMIT)
