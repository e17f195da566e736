"""Measurements of a running engine: counts, a sliding window, batch times."""

from collections import deque
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from emf.runtime.engine.batch_times import BatchTimes
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.engine.options import EngineOptions

_MOST_BATCHES = 10_000
# The 99th percentile of fewer chunks means nothing.
_ENOUGH_CHUNKS = 100


@dataclass(slots=True)
class Counts:
    """What an engine counts; see `EngineMetrics`."""

    admitted: int = 0
    refused: int = 0
    finished: int = 0
    failed: int = 0
    abandoned: int = 0
    timed_out: int = 0
    chunks: int = 0
    batches: int = 0
    deadline_misses: int = 0


class _Batch(NamedTuple):
    begin: float
    end: float
    size: int
    latencies: tuple[float, ...]


class Window:
    """The batches of the last seconds."""

    def __init__(self, seconds: float, now: float) -> None:
        self._seconds = seconds
        self._start = now
        self._batches: deque[_Batch] = deque(maxlen=_MOST_BATCHES)

    def add(self, begin: float, end: float, size: int, latencies: tuple[float, ...]) -> None:
        """Add a batch: its times, its streams, and each chunk's seconds from complete to decoded."""
        self._batches.append(_Batch(begin, end, size, latencies))
        while self._batches[0].end < end - self._seconds:
            self._batches.popleft()

    def _recent(self, now: float) -> list[_Batch]:
        return [batch for batch in self._batches if batch.end >= now - self._seconds]

    def percentiles_ms(self, now: float) -> tuple[float, float, float]:
        """Percentiles 50, 95 and 99 of the latency, milliseconds; zeros without a chunk."""
        latencies = self.latencies(now)
        if not latencies:
            return 0.0, 0.0, 0.0
        p50, p95, p99 = 1e3 * np.percentile(latencies, (50, 95, 99))
        return float(p50), float(p95), float(p99)

    def latencies(self, now: float) -> list[float]:
        """Seconds of every chunk."""
        return [latency for batch in self._recent(now) for latency in batch.latencies]

    def batch_sizes(self, now: float) -> list[int]:
        """Streams in every batch."""
        return [batch.size for batch in self._recent(now)]

    def busy_share(self, now: float) -> float:
        """Share of one worker's time that was spent decoding; above 1 with several workers."""
        begin = max(self._start, now - self._seconds)
        busy = sum(batch.end - max(batch.begin, begin) for batch in self._recent(now))
        return busy / (now - begin) if now > begin else 0.0


class Meter:
    """An engine's measurements. For one thread at a time; times in seconds."""

    def __init__(self, options: EngineOptions, period: float, times: BatchTimes, now: float) -> None:
        """Start at zero.

        Args:
            options: the deadline and the limits.
            period: length of a segment, seconds.
            times: the batch times measured so far.
            now: the time.
        """
        self.counts = Counts()
        self._options, self._period, self._times = options, period, times
        self._deadline = options.deadline_ms / 1e3
        self._window = Window(options.window_ms / 1e3, now)

    def record(self, begin: float, end: float, latencies: tuple[float, ...]) -> None:
        """Record a batch; `latencies` are each chunk's seconds from complete to decoded."""
        self._times.add(len(latencies), end - begin)
        self._window.add(begin, end, len(latencies), latencies)
        self.counts.chunks += len(latencies)
        self.counts.batches += 1
        self.counts.deadline_misses += sum(latency > self._deadline for latency in latencies)

    def expected(self, size: int) -> float:
        """Expected seconds of a batch."""
        return self._times.expected(size)

    def capacity(self, streams: int, now: float) -> int:
        """The given limit, or the measured one; while the deadline is broken, no more than there are.

        An engine without a stream takes one, however slow it was: nothing else tells how fast it is by now.
        """
        if self._options.max_streams is not None:
            return self._options.max_streams
        of_worker = self._times.capacity(self._deadline, self._period, self._options.max_wait_ms / 1e3)
        measured = max(of_worker * self._options.workers, 1)
        latencies = self._window.latencies(now)
        late = sum(latency > self._deadline for latency in latencies)
        broken = len(latencies) >= _ENOUGH_CHUNKS and late > 0.01 * len(latencies)
        return min(measured, streams) if broken else measured

    def metrics(self, streams: int, ready: int, queued_seconds: float, now: float) -> EngineMetrics:
        """All measurements as plain numbers; see `EngineMetrics` for the arguments."""
        sizes = self._window.batch_sizes(now)
        p50, p95, p99 = self._window.percentiles_ms(now)
        return EngineMetrics(
            streams=streams,
            capacity=self.capacity(streams, now),
            **asdict(self.counts),
            ready=ready,
            queued_seconds=queued_seconds,
            recent_batch_size=sum(sizes) / len(sizes) if sizes else 0.0,
            recent_largest_batch=max(sizes, default=0),
            recent_p50_ms=p50,
            recent_p95_ms=p95,
            recent_p99_ms=p99,
            headroom=max(1.0 - self._window.busy_share(now) / self._options.workers, 0.0),
        )
