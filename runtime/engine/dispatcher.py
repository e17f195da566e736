"""What an engine's threads share, under one lock: who is admitted, what is ready, what is decoded next."""

import math
from collections.abc import Iterable
from threading import Condition

import numpy.typing as npt

from emf.runtime.audio.samples import check_sample_rate, to_mono_float
from emf.runtime.engine.batching import ChunkClock, choose, start_time
from emf.runtime.engine.clock import Clock
from emf.runtime.engine.meter import Meter
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.engine.options import EngineOptions
from emf.runtime.engine.result_queue import ResultQueue
from emf.runtime.engine.slot import OnResult, Slot
from emf.runtime.errors import Overloaded, StreamClosed, UsageError
from emf.runtime.recognition.stream import Stream

_SWEEP_SECONDS = 1.0


class Dispatcher:
    """The streams of an engine. Callers feed them, workers take batches; all methods may be called anywhere.

    A slot's `input_lock` is taken before the dispatcher's own, never after it.
    """

    def __init__(self, options: EngineOptions, period: float, meter: Meter, clock: Clock) -> None:
        """Start without a stream.

        Args:
            options: the promise and the limits.
            period: length of a segment, seconds.
            meter: what measures.
            clock: what time it is.
        """
        self._options, self._period, self._meter, self._clock = options, period, meter, clock
        self._deadline, self._max_wait = options.deadline_ms / 1e3, options.max_wait_ms / 1e3
        self._max_queue, self._max_total_queue = options.max_queue_ms / 1e3, options.max_total_queue_ms / 1e3
        self._idle_timeout = options.idle_timeout_ms / 1e3
        self._changed = Condition()
        self._slots: dict[Slot, None] = {}
        self._ready: dict[Slot, None] = {}
        self._waiting_chunks = 0
        self._counts = meter.counts
        self._next_sweep = clock.now() + _SWEEP_SECONDS
        self._admitting, self._taking_audio, self._stopped = True, True, False

    # Callers

    def admit(self, stream: Stream, on_result: OnResult | None) -> Slot:
        """Give a stream a slot.

        Raises:
            Overloaded: all that can be carried are taken.
            StreamClosed: the engine is closing.
        """
        with self._changed:
            now = self._clock.now()
            self._sweep(now)
            if not self._admitting:
                raise StreamClosed("the engine is closed and takes no more streams")
            capacity = self._meter.capacity(len(self._slots), now)
            if len(self._slots) >= capacity:
                self._counts.refused += 1
                raise Overloaded(f"expected at most {capacity} streams at once, found one more; try again later")
            slot = Slot(
                stream, ResultQueue(), on_result, ChunkClock(self._period), now, steps_heard=stream.state.clock.step
            )
            self._slots[slot] = None
            self._counts.admitted += 1
            self._hear(slot)
            return slot

    def feed(self, slot: Slot, sample_rate: int, samples: npt.ArrayLike, timeout: float) -> None:
        """Add audio; see `StreamHandle.accept_waveform`."""
        rate, mono = check_sample_rate(sample_rate), to_mono_float(samples)
        seconds = len(mono) / rate
        if seconds > self._max_queue:
            raise UsageError(
                f"expected at most {self._max_queue:g} seconds of audio at once, found {seconds:g}; cut it"
            )
        with slot.input_lock:
            self._wait_for_room(slot, seconds, timeout)
            slot.stream.accept_waveform(rate, mono)
            self._hear(slot)

    def finish(self, slot: Slot) -> None:
        """Declare the audio of a stream complete."""
        with slot.input_lock:
            slot.stream.input_finished()
            self._hear(slot)

    def release(self, slot: Slot) -> None:
        """Take a stream out before its end, if it did not end yet."""
        with self._changed:
            if not slot.released:
                self._counts.abandoned += 1
                self._drop(slot, StreamClosed("the stream was closed before its end"))

    def snapshot(self, slot: Slot) -> bytes:
        """The stream as bytes, between two steps."""
        with self._changed:
            while slot.busy:
                self._clock.wait(self._changed, None)
            if slot.released:
                raise StreamClosed("the stream has ended: nothing is left to go on with")
            slot.busy = True
            self._ready.pop(slot, None)
        try:
            with slot.input_lock:
                return slot.stream.snapshot()
        finally:
            with self._changed:
                self._set_free(slot)
                self._changed.notify_all()

    def metrics(self) -> EngineMetrics:
        """How it is now."""
        with self._changed:
            queued_seconds = self._waiting_chunks * self._period
            return self._meter.metrics(len(self._slots), len(self._ready), queued_seconds, self._clock.now())

    def close(self, grace: float) -> None:
        """Admit no more; give streams `grace` seconds to end by themselves, then finish the others.

        Workers go on until all is decoded.
        """
        with self._changed:
            self._admitting = False
            end = self._clock.now() + grace
            while self._slots and (left := end - self._clock.now()) > 0:
                self._clock.wait(self._changed, left)
            self._taking_audio = False
            self._changed.notify_all()
            slots = list(self._slots)
        for slot in slots:
            self.finish(slot)
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    # Workers

    def next_batch(self) -> list[Slot] | None:
        """Wait for streams to decode next; they belong to the caller until `done`. `None` when all is over."""
        with self._changed:
            while True:
                now = self._clock.now()
                if now >= self._next_sweep:
                    self._sweep(now)
                if self._stopped and not self._slots:
                    return None
                start = self._start_time(now)
                if start <= now:
                    return self._take(now)
                self._clock.wait(self._changed, min(start, self._next_sweep) - now)

    def done(self, batch: Iterable[Slot], begin: float, ended: Iterable[Slot], failed: Iterable[Slot]) -> None:
        """Give a batch back.

        Args:
            batch: as `next_batch` gave it.
            begin: when decoding began, seconds.
            ended: those of it that are decoded to their end.
            failed: those of it that cannot go on.
        """
        with self._changed:
            now = self._clock.now()
            # A stream that was released meanwhile has no chunks any more.
            latencies = tuple(max(now - slot.chunks.waiting.popleft(), 0.0) for slot in batch if slot.chunks.waiting)
            self._waiting_chunks -= len(latencies)
            if latencies:
                self._meter.record(begin, now, latencies)
            for slot in batch:
                self._set_free(slot)
            for slot in ended:
                self._counts.finished += not slot.released
                self._drop(slot)
            for slot in failed:
                self._counts.failed += not slot.released
                self._drop(slot)
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """End every stream with an error: a worker broke down."""
        with self._changed:
            self._admitting = self._taking_audio = False
            self._stopped = True
            for slot in list(self._slots):
                self._counts.failed += 1
                self._drop(slot, error)

    # Under the lock

    def _wait_for_room(self, slot: Slot, seconds: float, timeout: float) -> None:
        with self._changed:
            end = self._clock.now() + timeout
            while True:
                if slot.closed_because or slot.released or not self._taking_audio:
                    raise StreamClosed(slot.closed_because or "the stream is closed and takes no more audio")
                queued, total = len(slot.chunks.waiting) * self._period, self._waiting_chunks * self._period
                if queued + seconds <= self._max_queue and total + seconds <= self._max_total_queue:
                    return
                left = end - self._clock.now()
                if left <= 0:
                    raise Overloaded(
                        f"{queued:.1f} seconds of this stream and {total:.1f} of all wait to be decoded; try again "
                        "later, or pass a timeout to wait for room"
                    )
                self._clock.wait(self._changed, left)

    def _hear(self, slot: Slot) -> None:
        """Take note of what was fed; `input_lock` is held, or the slot is new."""
        with self._changed:
            if slot.released:
                return
            now = slot.active_at = self._clock.now()
            buffer, extractor = slot.stream.state.audio, slot.stream.settings.extractor
            while extractor.is_ready(buffer, slot.steps_heard):
                slot.steps_heard += 1
                slot.chunks.arrived(now)
                self._waiting_chunks += 1
            slot.finished = buffer.finished
            if slot.has_work and not slot.busy and slot not in self._ready:
                slot.ready_since = now
                self._ready[slot] = None
                self._changed.notify_all()

    def _set_free(self, slot: Slot) -> None:
        slot.busy = False
        if slot.has_work and not slot.released:
            slot.ready_since = self._clock.now()
            self._ready[slot] = None

    def _drop(self, slot: Slot, error: Exception | None = None) -> None:
        self._slots.pop(slot, None)
        self._ready.pop(slot, None)
        self._waiting_chunks -= len(slot.chunks.waiting)
        slot.chunks.waiting.clear()
        slot.released = True
        if error is not None:
            slot.results.end(error)
        self._changed.notify_all()

    def _sweep(self, now: float) -> None:
        """Free what nobody waits for any more."""
        self._next_sweep = now + min(_SWEEP_SECONDS, self._idle_timeout)
        for slot in list(self._slots):
            unheard = slot.abandoned and not (slot.finished and slot.on_result)
            idle = now - slot.active_at >= self._idle_timeout and not slot.has_work
            if unheard:
                self.release(slot)
            elif idle and slot.input_lock.acquire(blocking=False):  # else somebody is just feeding it
                try:
                    self._counts.timed_out += 1
                    slot.closed_because = f"no audio came for {self._idle_timeout:g} seconds: the stream was finished"
                    slot.stream.input_finished()
                    self._hear(slot)
                finally:
                    slot.input_lock.release()

    def _start_time(self, now: float) -> float:
        if not self._ready:
            return math.inf
        others = len(self._slots) - len(self._ready) - sum(slot.busy for slot in self._slots)
        has_ended = any(not slot.chunks.waiting for slot in self._ready)
        if self._stopped or has_ended or others == 0 or len(self._ready) >= self._options.max_batch:
            return now
        expected = self._meter.expected(len(self._ready))
        return start_time(self._ready, self._max_wait, self._deadline, expected)

    def _take(self, now: float) -> list[Slot]:
        batch = choose(list(self._ready), self._options.max_batch)
        for slot in batch:
            del self._ready[slot]
            slot.busy = True
        return batch
