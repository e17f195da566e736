"""Many live streams in one process: threads around a recognizer, for services."""

import weakref
from types import TracebackType

import numpy as np

from emf.runtime.engine.batch_times import BatchTimes
from emf.runtime.engine.clock import Clock, SystemClock
from emf.runtime.engine.handle import StreamHandle
from emf.runtime.engine.meter import Meter
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.engine.options import EngineOptions
from emf.runtime.engine.scheduler import Scheduler
from emf.runtime.engine.slot import OnResult
from emf.runtime.engine.workers import Workers
from emf.runtime.errors import UsageError, require
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.recognition.stream import Stream, require_stream

_WARM_UP_BATCHES = (1, 1, 2, 4, 8)
_DEFAULTS = EngineOptions()


class Engine:
    """Serves streams that are fed from any thread or event loop, within a deadline.

    A stream's text does not depend on the other streams. A stream that fails ends alone. With endpoint rules
    in the recognizer, segments begin and end by themselves; `Result.segment` counts them.

    An engine belongs to its process: a fork of the process cannot use it. The end of the process stops it, and so
    does the loss of the engine and of all its handles.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        deadline_ms: float = _DEFAULTS.deadline_ms,
        max_streams: int | None = _DEFAULTS.max_streams,
        max_batch: int = _DEFAULTS.max_batch,
        max_wait_ms: float = _DEFAULTS.max_wait_ms,
        max_queue_ms: float = _DEFAULTS.max_queue_ms,
        max_total_queue_ms: float = _DEFAULTS.max_total_queue_ms,
        idle_timeout_ms: float = _DEFAULTS.idle_timeout_ms,
        num_workers: int | None = _DEFAULTS.num_workers,
        window_ms: float = _DEFAULTS.window_ms,
        clock: Clock | None = None,
    ) -> None:
        """Warm up and start the threads.

        The keywords from `deadline_ms` to `window_ms` are the fields of `EngineOptions`, whose help explains them.

        Args:
            recognizer: decodes the streams.
            clock: the time; for tests.

        Raises:
            UsageError: an option makes no sense.
        """
        require(recognizer, Recognizer, "a Recognizer, such as Recognizer.load gives")
        options = EngineOptions(
            deadline_ms=deadline_ms,
            max_streams=max_streams,
            max_batch=max_batch,
            max_wait_ms=max_wait_ms,
            max_queue_ms=max_queue_ms,
            max_total_queue_ms=max_total_queue_ms,
            idle_timeout_ms=idle_timeout_ms,
            num_workers=recognizer.callers_at_once if num_workers is None else num_workers,
            window_ms=window_ms,
        )
        self._recognizer, self._clock = recognizer, clock or SystemClock()
        period = recognizer.transducer.manifest.seconds_per_step
        if min(max_queue_ms, max_total_queue_ms) < 1e3 * period:
            raise UsageError(f"expected queues of at least a segment, {1e3 * period:g} milliseconds, found less")
        times = BatchTimes()
        recognizer.warm_up(min(max_batch, max_streams or max_batch))
        _warm_up(recognizer, times, self._clock, alone=options.workers > 1)
        meter = Meter(options, period, times, self._clock.now())
        self._scheduler = Scheduler(options, period, meter, self._clock)
        self._workers = Workers(recognizer, self._scheduler, self._clock, options.workers)
        weakref.finalize(self, self._scheduler.abandon).atexit = False

    def open(
        self, stream: Stream | None = None, *, on_result: OnResult | None = None, beyond_capacity: bool = False
    ) -> StreamHandle:
        """Begin a stream.

        Args:
            stream: a stream made or restored by the engine's recognizer; the engine then owns it. `None` makes one.
            on_result: called with each result, in a thread that all streams share. A slow callback skips
                outdated results, but gets the last result of every segment.
            beyond_capacity: admit the stream though the engine is full, as one that another engine has lost.

        Raises:
            Overloaded: the engine is full; nothing changed.
            StreamClosed: the engine is closed.
            UsageError: this process was forked from the engine's.
        """
        self._workers.home.check("an engine")
        if on_result is not None and not callable(on_result):
            raise UsageError(f"expected a function that takes a result, found {type(on_result).__name__}")
        chosen = self._recognizer.create_stream() if stream is None else stream
        require_stream(chosen)
        return StreamHandle(self._scheduler, self._scheduler.admit(chosen, on_result, beyond_capacity), self)

    def metrics(self) -> EngineMetrics:
        """State of the engine now, and statistics of what it did."""
        self._workers.home.check("an engine")
        return self._scheduler.metrics()

    def close(self, grace: float = 0.0) -> None:
        """Admit no more streams, finish the others, decode all audio taken, deliver all results, stop.

        Does nothing in a process forked from the engine's.

        Args:
            grace: seconds during which callers may still feed and finish their streams.
        """
        if self._workers.home.is_here:
            self._scheduler.close(grace)
            self._workers.join()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _warm_up(recognizer: Recognizer, times: BatchTimes, clock: Clock, alone: bool) -> None:
    """Decode some noise: it fills caches before the first stream comes, and gives the first batch times."""
    noise = np.random.default_rng(0).normal(0.0, 0.05, recognizer.settings.extractor.end_sample(0))
    for attempt, size in enumerate(_WARM_UP_BATCHES):
        streams = [recognizer.create_stream() for _ in range(size)]
        for stream in streams:
            stream.accept_waveform(recognizer.sample_rate, noise)
        begin = clock.now()
        recognizer.decode_streams(streams, alone)
        if attempt:
            times.add(size, clock.now() - begin)
