"""Streams in real time on workers that share memory and a front, event by event."""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from capacity_model import StepCost

from emf.runtime.measure.capacity import find_capacity

_WARM_UP = 0.25
"""Share of the time that is not counted."""
_FIRST_TRY, _MOST = 0.4, 2**20
"""Of the streams that the model allows; streams."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is simulated.

    Attributes:
        workers: processes that decode.
        threads: of each.
        bandwidth: bytes a second that all of them share.
        front: seconds of a front for a chunk of a stream; it does one at a time.
        fronts: servers, each with an equal part of the streams and workers.
        max_batch: streams of a step at the most.
    """

    workers: int
    threads: int
    bandwidth: float
    front: float = 0.0
    fronts: int = 1
    max_batch: int = 64


@dataclass(frozen=True, slots=True)
class Load:
    """A load that was simulated: p99 of the seconds between a chunk's arrival and its result."""

    streams: int
    p99: float

    def within(self, deadline: float) -> bool:
        """See `find_capacity`."""
        return self.p99 <= deadline


@dataclass(slots=True)
class _Worker:
    waiting: deque[tuple[float, int]] = field(default_factory=deque)
    batch: list[tuple[float, int]] = field(default_factory=list)


def simulate(cost: StepCost, machine: Machine, streams: int, interval: float, seconds: float = 6.0) -> Load:
    """Let every stream send a chunk each `interval`, each at a time of its own; the same every time.

    A worker that is free takes what waits, oldest first. Its step takes as long as `StepCost.step` says where the
    workers that are busy when it begins share the bandwidth evenly.
    """
    random = np.random.default_rng(0)
    arrivals = sorted(
        (float(begin + turn * interval), stream)
        for stream, begin in enumerate(random.uniform(0.0, interval, streams))
        for turn in range(int(seconds / interval))
    )
    workers = [_Worker() for _ in range(machine.workers)]
    ends: list[tuple[float, int]] = []
    lags: list[float] = []

    def begin(number: int, now: float) -> None:
        worker = workers[number]
        count = min(len(worker.waiting), machine.max_batch)
        worker.batch = [worker.waiting.popleft() for _ in range(count)]
        share = machine.bandwidth / (len(ends) + 1)
        heapq.heappush(ends, (now + cost.step(count, machine.threads, share), number))

    def end_steps(until: float) -> None:
        while ends and ends[0][0] <= until:
            now, number = heapq.heappop(ends)
            worker = workers[number]
            lags.extend(now - arrived for arrived, _ in worker.batch if arrived > _WARM_UP * seconds)
            worker.batch = []
            if worker.waiting:
                begin(number, now)

    for now, arrived, stream in _pass_fronts(arrivals, machine):
        end_steps(now)
        number = stream % machine.workers
        workers[number].waiting.append((arrived, stream))
        if not workers[number].batch:
            begin(number, now)
    end_steps(np.inf)
    return Load(streams, float(np.percentile(lags, 99)) if lags else 0.0)


def _pass_fronts(arrivals: Sequence[tuple[float, int]], machine: Machine) -> list[tuple[float, float, int]]:
    """When each chunk has passed its worker's front, in this order; when it arrived; its stream."""
    free = [0.0] * machine.fronts
    passed = []
    for arrived, stream in arrivals:
        front = stream % machine.workers % machine.fronts
        free[front] = max(free[front], arrived) + machine.front
        passed.append((free[front], arrived, stream))
    return sorted(passed)


def capacity(cost: StepCost, machine: Machine, interval: float, deadline: float) -> int:
    """Streams whose p99 stays within the deadline."""
    a_worker = cost.streams(machine.threads, machine.bandwidth / machine.workers, interval)
    first = max(1, int(_FIRST_TRY * machine.workers * a_worker))
    return find_capacity(lambda streams: simulate(cost, machine, streams, interval), deadline, first, _MOST)[0]
