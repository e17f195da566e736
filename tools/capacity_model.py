"""How many live streams a machine carries, from what one and two workers took: cores, lock, memory, front.

A step decodes a chunk of each of `n` streams. A worker of `T` threads takes

    max(slowdown * ((fixed + n * parallel) / T + n * locked), (weights + n * state) / share of the bandwidth)

for it: work that its threads share, work that Python's interpreter lock lets one of them do at a time, and the bytes
that must come from memory meanwhile. `slowdown` is what busy neighbours cost beyond that: processors that share a core,
caches and clock. Times are seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Measured:
    """What a step took, in the middle, where so many processes decoded at once.

    Attributes:
        processes: that decoded at the same time.
        threads: of each.
        streams: of each.
        seconds: of a step.
    """

    processes: int
    threads: int
    streams: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StepCost:
    """What a step costs; see the module.

    Attributes:
        fixed: seconds of a step.
        parallel: seconds a stream that threads share.
        locked: seconds a stream that they do not.
        slowdown: of a worker among busy ones, at least 1.
        weight_bytes: read once a step.
        state_bytes: read and written a stream.
    """

    fixed: float
    parallel: float
    locked: float
    slowdown: float
    weight_bytes: float
    state_bytes: float

    def compute(self, streams: float, threads: int, alone: bool = False) -> float:
        """Seconds of a step, if memory were no limit."""
        seconds = (self.fixed + streams * self.parallel) / threads + streams * self.locked
        return seconds if alone and threads == 1 else self.slowdown * seconds

    def bytes(self, streams: float) -> float:
        """What a step moves from and to memory."""
        return self.weight_bytes + streams * self.state_bytes

    def step(self, streams: float, threads: int, bandwidth: float) -> float:
        """Seconds of a step of a worker that has so many bytes a second."""
        return max(self.compute(streams, threads), self.bytes(streams) / bandwidth)

    def streams(self, threads: int, bandwidth: float, interval: float) -> float:
        """Streams of which a worker takes a step in `interval` seconds."""
        a_stream = self.parallel / threads + self.locked
        by_compute = (interval / self.slowdown - self.fixed / threads) / a_stream
        by_memory = (interval * bandwidth - self.weight_bytes) / self.state_bytes
        return max(0.0, min(by_compute, by_memory))

    def bandwidth_for(self, threads: int, interval: float) -> float:
        """Bytes a second that a worker needs to be limited by its threads and not by memory."""
        return self.bytes(self.streams(threads, np.inf, interval)) / interval


def fit(measured: Sequence[Measured], weight_bytes: float, state_bytes: float) -> StepCost:
    """The costs that explain what was measured best, by least squares.

    Args:
        measured: steps of one process of one thread, of two such processes or more, and of one process of two threads,
            each with several numbers of streams. `slowdown` comes from the most processes.
        weight_bytes: see `StepCost`.
        state_bytes: see `StepCost`.

    Raises:
        ValueError: one of the three is missing, or the first has one number of streams only.
    """
    most = max((one.processes for one in measured), default=1)
    alone, pair, busy, crew = (
        {one.streams: one.seconds for one in measured if (one.processes, one.threads) == kind}
        for kind in ((1, 1), (2, 1), (most, 1), (1, 2))
    )
    found = len(alone), len(busy) if most > 1 else 0, len(crew)
    if found[0] < 2 or not all(found):
        raise ValueError(
            "expected steps of one process with one thread and several numbers of streams, of several processes with "
            f"one thread, and of one with two threads; found {found[0]}, {found[1]} and {found[2]}"
        )
    slope, fixed = np.polyfit(list(alone), list(alone.values()), 1)
    fixed = max(float(fixed), 0.0)

    def one_thread(streams: int) -> float:
        return fixed + streams * float(slope)

    slowdown = max(1.0, _slope([one_thread(n) for n in busy], list(busy.values())))
    two = max(1.0, _slope([one_thread(n) for n in pair], list(pair.values()))) if pair else slowdown
    rest = [seconds / two - one_thread(streams) / 2 for streams, seconds in crew.items()]
    locked = min(max(2.0 * _slope(list(crew), rest), 0.0), float(slope))
    return StepCost(fixed, float(slope) - locked, locked, slowdown, weight_bytes, state_bytes)


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the line through the origin."""
    return float(np.dot(x, y) / np.dot(x, x))
