"""Many live streams in one process: threads around a recognizer, for services."""

import logging
from threading import Thread
from types import TracebackType

import numpy as np

from emf.runtime.engine.batch_outcome import BatchOutcome
from emf.runtime.engine.batch_times import BatchTimes
from emf.runtime.engine.callbacks import Callbacks
from emf.runtime.engine.clock import Clock, SystemClock
from emf.runtime.engine.handle import StreamHandle
from emf.runtime.engine.meter import Meter
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.engine.options import EngineOptions
from emf.runtime.engine.scheduler import Scheduler
from emf.runtime.engine.slot import OnResult, Slot
from emf.runtime.errors import UsageError
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.recognition.result import Result
from emf.runtime.recognition.stream import Stream

_LOGGER = logging.getLogger(__name__)
_WARM_UP_BATCHES = (1, 1, 2, 4, 8)
_DEFAULTS = EngineOptions()


class Engine:
    """Serves streams that are fed from any thread or event loop, within a deadline.

    A stream's text does not depend on the other streams. A stream that fails ends alone. With endpoint rules
    in the recognizer, segments begin and end by themselves; `Result.segment` counts them.
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
        num_workers: int = _DEFAULTS.num_workers,
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
        options = EngineOptions(
            deadline_ms=deadline_ms,
            max_streams=max_streams,
            max_batch=max_batch,
            max_wait_ms=max_wait_ms,
            max_queue_ms=max_queue_ms,
            max_total_queue_ms=max_total_queue_ms,
            idle_timeout_ms=idle_timeout_ms,
            num_workers=num_workers,
            window_ms=window_ms,
        )
        self._recognizer, self._clock = recognizer, clock or SystemClock()
        period = recognizer.transducer.manifest.seconds_per_step
        if min(max_queue_ms, max_total_queue_ms) < 1e3 * period:
            raise UsageError(f"expected queues of at least a segment, {1e3 * period:g} milliseconds, found less")
        times = BatchTimes()
        recognizer.warm_up(min(max_batch, max_streams or max_batch))
        _warm_up(recognizer, times, self._clock)
        meter = Meter(options, period, times, self._clock.now())
        self._scheduler = Scheduler(options, period, meter, self._clock)
        self._callbacks = Callbacks()
        self._workers = [Thread(target=self._work, name=f"emf-worker-{n}", daemon=True) for n in range(num_workers)]
        for worker in self._workers:
            worker.start()

    def open(self, stream: Stream | None = None, *, on_result: OnResult | None = None) -> StreamHandle:
        """Begin a stream.

        Args:
            stream: a stream made or restored by the engine's recognizer; the engine then owns it. `None` makes one.
            on_result: called with each result, in a thread that all streams share. A slow callback skips
                outdated results, but gets the last result of every segment.

        Raises:
            Overloaded: the engine is full; nothing changed.
            StreamClosed: the engine is closed.
        """
        chosen = stream or self._recognizer.create_stream()
        return StreamHandle(self._scheduler, self._scheduler.admit(chosen, on_result))

    def metrics(self) -> EngineMetrics:
        """State of the engine now, and statistics of what it did."""
        return self._scheduler.metrics()

    def close(self, grace: float = 0.0) -> None:
        """Admit no more streams, finish the others, decode all audio taken, deliver all results, stop.

        Args:
            grace: seconds during which callers may still feed and finish their streams.
        """
        self._scheduler.close(grace)
        for worker in self._workers:
            worker.join()
        self._callbacks.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        try:
            while (batch := self._scheduler.schedule()) is not None:
                self._serve(batch)
        except Exception as error:
            _LOGGER.exception("the engine broke down")
            self._scheduler.fail(error)

    def _serve(self, batch: list[Slot]) -> None:
        begin = self._clock.now()
        ended: list[tuple[Slot, Result]] = []
        failed: list[tuple[Slot, Exception]] = []
        for slot, result in self._decode(batch):
            if isinstance(result, Exception):
                failed.append((slot, result))
            elif result.is_final:
                ended.append((slot, result))
            else:
                slot.results.put(result)
                self._callbacks.notify(slot)
        outcome = BatchOutcome(batch, begin, [slot for slot, _ in ended], [slot for slot, _ in failed])
        self._scheduler.complete(outcome)
        # Only now: a caller that sees the end may rely on the slot being free.
        for slot, result in ended:
            slot.results.put(result)
            slot.results.end()
            self._callbacks.notify(slot)
        for slot, error in failed:
            slot.results.end(error)

    def _decode(self, batch: list[Slot]) -> list[tuple[Slot, Result | Exception]]:
        """Decode a batch. If that fails, decode each stream alone, so that only the faulty one ends."""
        try:
            self._recognizer.decode_streams([slot.stream for slot in batch])
        except Exception as error:
            if len(batch) == 1:
                _LOGGER.exception("a stream failed")
                return [(batch[0], error)]
            return [pair for slot in batch for pair in self._decode([slot])]
        return [(slot, self._get_result(slot.stream)) for slot in batch]

    def _get_result(self, stream: Stream) -> Result | Exception:
        try:
            result = self._recognizer.get_result(stream)
            if not result.is_final and self._recognizer.is_endpoint(stream):
                result = self._recognizer.reset(stream)
        except Exception as error:
            _LOGGER.exception("a stream failed")
            return error
        return result


def _warm_up(recognizer: Recognizer, times: BatchTimes, clock: Clock) -> None:
    """Decode some noise: it fills caches before the first stream comes, and gives the first batch times."""
    noise = np.random.default_rng(0).normal(0.0, 0.05, recognizer.settings.extractor.end_sample(0))
    for attempt, size in enumerate(_WARM_UP_BATCHES):
        streams = [recognizer.create_stream() for _ in range(size)]
        for stream in streams:
            stream.accept_waveform(recognizer.sample_rate, noise)
        begin = clock.now()
        recognizer.decode_streams(streams)
        if attempt:
            times.add(size, clock.now() - begin)
