"""Many live streams in one process: threads around a recognizer, for services."""

import logging
from threading import Thread
from types import TracebackType
from typing import TypeAlias

import numpy as np

from emf.runtime.engine.batch_times import BatchTimes
from emf.runtime.engine.callbacks import Callbacks
from emf.runtime.engine.clock import Clock, SystemClock
from emf.runtime.engine.dispatcher import Dispatcher
from emf.runtime.engine.handle import StreamHandle
from emf.runtime.engine.meter import Meter
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.engine.options import EngineOptions
from emf.runtime.engine.slot import OnResult, Slot
from emf.runtime.errors import UsageError
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.recognition.result import Result
from emf.runtime.recognition.stream import Stream

_LOGGER = logging.getLogger(__name__)
_WARM_UP_BATCHES = (1, 1, 2, 4, 8)

Outcome: TypeAlias = Result | Exception


class Engine:
    """Carries streams that are fed from any thread or event loop, and keeps a promise of latency.

    A stream's text is what it would be alone. A stream that fails ends alone. With endpoint rules in the
    recognizer, segments begin and end by themselves; `Result.segment` counts them.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        deadline_ms: float = 160.0,
        max_streams: int | None = None,
        max_batch: int = 64,
        max_wait_ms: float = 20.0,
        max_queue_ms: float = 10_000.0,
        max_total_queue_ms: float = 600_000.0,
        idle_timeout_ms: float = 60_000.0,
        num_workers: int = 1,
        window_ms: float = 60_000.0,
        clock: Clock | None = None,
    ) -> None:
        """Warm up and start the threads.

        Args:
            recognizer: what decodes.
            deadline_ms: from a complete chunk of audio to its result, promised for 99 of 100 chunks.
            max_streams: streams at once; `None` admits as many as batches are seen to allow.
            max_batch: streams decoded together at the most.
            max_wait_ms: that a chunk waits for others to share its batch; less where the deadline asks for it.
            max_queue_ms: audio of one stream that may wait to be decoded.
            max_total_queue_ms: audio of all streams that may wait to be decoded.
            idle_timeout_ms: without audio, after which a stream is finished.
            num_workers: threads that decode; the recognizer's own threads come on top.
            window_ms: what `EngineMetrics` calls recent.
            clock: what time it is; for tests.

        Raises:
            UsageError: an option makes no sense.
        """
        options = EngineOptions(
            deadline_ms,
            max_streams,
            max_batch,
            max_wait_ms,
            max_queue_ms,
            max_total_queue_ms,
            idle_timeout_ms,
            num_workers,
            window_ms,
        )
        self._recognizer, self._clock = recognizer, clock or SystemClock()
        extractor = recognizer.settings.extractor
        period = (extractor.end_sample(1) - extractor.end_sample(0)) / recognizer.sample_rate
        if min(max_queue_ms, max_total_queue_ms) < 1e3 * period:
            raise UsageError(f"expected queues of at least a segment, {1e3 * period:g} milliseconds, found less")
        times = BatchTimes()
        recognizer.warm_up(min(max_batch, max_streams or max_batch))
        _warm_up(recognizer, times, self._clock)
        meter = Meter(options, period, times, self._clock.now())
        self._dispatcher = Dispatcher(options, period, meter, self._clock)
        self._callbacks = Callbacks()
        self._workers = [Thread(target=self._work, name=f"emf-worker-{n}", daemon=True) for n in range(num_workers)]
        for worker in self._workers:
            worker.start()

    def open(self, stream: Stream | None = None, *, on_result: OnResult | None = None) -> StreamHandle:
        """Begin a stream.

        Args:
            stream: one made, or restored, by the engine's recognizer, which the engine then owns; `None` makes one.
            on_result: called with results as they come, in a thread of its own that all streams share;
                a slow one skips results that are outdated, but sees the last one of every segment.

        Raises:
            Overloaded: all streams that can be carried are there; nothing changed.
            StreamClosed: the engine is closed.
        """
        chosen = stream or self._recognizer.create_stream()
        return StreamHandle(self._dispatcher, self._dispatcher.admit(chosen, on_result))

    def metrics(self) -> EngineMetrics:
        """How the engine does."""
        return self._dispatcher.metrics()

    def close(self, grace: float = 0.0) -> None:
        """Admit no more streams, finish those there are, decode all audio taken, hand over all results, stop.

        Args:
            grace: seconds in which streams may still be fed and end by themselves.
        """
        self._dispatcher.close(grace)
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
            while (batch := self._dispatcher.next_batch()) is not None:
                self._serve(batch)
        except Exception as error:
            _LOGGER.exception("the engine broke down")
            self._dispatcher.fail(error)

    def _serve(self, batch: list[Slot]) -> None:
        begin = self._clock.now()
        outcomes = self._decode(batch)
        ended: list[tuple[Slot, Result]] = []
        failed: list[tuple[Slot, Exception]] = []
        for slot, outcome in outcomes:
            if isinstance(outcome, Exception):
                failed.append((slot, outcome))
            elif outcome.is_final:
                ended.append((slot, outcome))
            else:
                slot.results.put(outcome)
                self._callbacks.notify(slot)
        self._dispatcher.done(batch, begin, [slot for slot, _ in ended], [slot for slot, _ in failed])
        # Only now: who sees the end may count on the slot being free.
        for slot, result in ended:
            slot.results.put(result)
            slot.results.end()
            self._callbacks.notify(slot)
        for slot, error in failed:
            slot.results.end(error)

    def _decode(self, batch: list[Slot]) -> list[tuple[Slot, Outcome]]:
        """Decode a batch; if that fails, each of its streams alone, so that only the culprit ends."""
        try:
            self._recognizer.decode_streams([slot.stream for slot in batch])
        except Exception as error:
            if len(batch) == 1:
                _LOGGER.exception("a stream failed")
                return [(batch[0], error)]
            return [outcome for slot in batch for outcome in self._decode([slot])]
        return [(slot, self._outcome(slot.stream)) for slot in batch]

    def _outcome(self, stream: Stream) -> Outcome:
        try:
            result = self._recognizer.get_result(stream)
            if not result.is_final and self._recognizer.is_endpoint(stream):
                self._recognizer.reset(stream)
        except Exception as error:
            _LOGGER.exception("a stream failed")
            return error
        return result


def _warm_up(recognizer: Recognizer, times: BatchTimes, clock: Clock) -> None:
    """Decode some noise, so that the first stream neither waits for cold caches nor is planned by guess."""
    noise = np.random.default_rng(0).normal(0.0, 0.05, recognizer.settings.extractor.end_sample(0))
    for attempt, size in enumerate(_WARM_UP_BATCHES):
        streams = [recognizer.create_stream() for _ in range(size)]
        for stream in streams:
            stream.accept_waveform(recognizer.sample_rate, noise)
        begin = clock.now()
        recognizer.decode_streams(streams)
        if attempt:
            times.add(size, clock.now() - begin)
