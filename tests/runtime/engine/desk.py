"""A scheduler without an engine round it, for tests: callers and workers without threads, and no decoding."""

from collections.abc import Sequence
from threading import Condition, current_thread, main_thread
from typing import Any

import numpy as np

from emf.runtime import EngineMetrics, Recognizer
from emf.runtime.engine.batch_outcome import BatchOutcome
from emf.runtime.engine.batch_times import BatchTimes
from emf.runtime.engine.meter import Meter
from emf.runtime.engine.options import EngineOptions
from emf.runtime.engine.scheduler import Scheduler
from emf.runtime.engine.slot import OnResult, Slot
from tests.runtime.engine.manual_clock import ManualClock
from tests.signals import SAMPLE_RATE

SEGMENT, WINDOW = 2560, 3200
PERIOD = SEGMENT / SAMPLE_RATE
MAX_BATCH, MAX_STREAMS = 3, 5


class Waits(Exception):
    """The scheduler would wait here, and nobody would wake it."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(f"waits for {seconds} seconds")
        self.seconds = seconds


class DeskClock(ManualClock):
    """A test that would hang fails instead; other threads may wait."""

    def wait(self, condition: Condition, seconds: float | None) -> None:
        if current_thread() is main_thread():
            raise Waits(seconds)
        super().wait(condition, seconds)


class Desk:
    """A scheduler, its clock, and what callers and workers do with it. Nothing is decoded."""

    def __init__(self, recognizer: Recognizer, **changes: Any) -> None:
        options: dict[str, Any] = {
            "deadline_ms": 160.0,
            "max_streams": MAX_STREAMS,
            "max_batch": MAX_BATCH,
            "max_wait_ms": 20.0,
            "max_queue_ms": 1e4,
            "max_total_queue_ms": 6e5,
            "idle_timeout_ms": 5e3,
            "num_workers": 1,
            "window_ms": 6e4,
        }
        self.recognizer, self.clock = recognizer, DeskClock()
        chosen = EngineOptions(**options | changes)
        meter = Meter(chosen, PERIOD, BatchTimes(), self.clock.now())
        self.scheduler = Scheduler(chosen, PERIOD, meter, self.clock)

    def admit(self, on_result: OnResult | None = None) -> Slot:
        return self.scheduler.admit(self.recognizer.create_stream(), on_result)

    def feed(self, slot: Slot, count: int) -> None:
        self.scheduler.feed(slot, SAMPLE_RATE, np.zeros(count, np.float32), timeout=0.0)

    def feed_chunks(self, slot: Slot, chunks: int) -> None:
        """The first audio of a stream: so many chunks are complete."""
        self.feed(slot, WINDOW + (chunks - 1) * SEGMENT)

    def batch(self) -> list[Slot]:
        """The next batch, when its chunks have waited for others long enough."""
        self.clock.advance(0.021)
        batch = self.scheduler.schedule()
        assert batch is not None
        return batch

    def complete(self, batch: Sequence[Slot], ended: Sequence[Slot] = (), failed: Sequence[Slot] = ()) -> None:
        self.scheduler.complete(BatchOutcome(batch, self.clock.now(), ended, failed))

    @property
    def metrics(self) -> EngineMetrics:
        return self.scheduler.metrics()
