"""Which streams of an engine are decoded next: one lock, under which callers and workers wait."""

import math
from threading import Condition

from emf.runtime.arrays import FloatArray
from emf.runtime.engine.admission import Admission
from emf.runtime.engine.batch_outcome import BatchOutcome
from emf.runtime.engine.batching import ChunkClock, choose, start_time
from emf.runtime.engine.clock import Clock
from emf.runtime.engine.meter import Meter
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.engine.options import EngineOptions
from emf.runtime.engine.slot import OnResult, Slot, SlotPhase
from emf.runtime.engine.slot_table import SlotTable
from emf.runtime.errors import Overloaded, StreamClosed
from emf.runtime.recognition.stream import Stream

_EXPIRY_SECONDS = 1.0
_SMALL_BATCH = 8
"""From so many ready streams on, a worker leaves the others their share: larger batches gain little."""


class Scheduler:
    """Admits streams, takes their audio and forms batches of them. Every method is safe in any thread.

    A slot's `input_lock` is taken before the scheduler's own lock, never after it.
    """

    def __init__(self, options: EngineOptions, period: float, meter: Meter, clock: Clock) -> None:
        """Start without a stream. `period` is the length of a segment, seconds."""
        self._options, self._period, self._meter, self._clock = options, period, meter, clock
        self._idle_timeout = options.idle_timeout_ms / 1e3
        self._changed = Condition()
        self._slots = SlotTable()
        self._admission = Admission(options, period, meter)
        self._counts = meter.counts
        self._next_expiry = clock.now() + _EXPIRY_SECONDS
        self._stopped = self._abandoned = False

    # Callers

    def admit(self, stream: Stream, on_result: OnResult | None, beyond_capacity: bool = False) -> Slot:
        """Give a stream a slot; see `Admission.check_stream`."""
        with self._changed:
            now = self._clock.now()
            self._expire_idle(now)
            self._admission.check_stream(0 if beyond_capacity else len(self._slots), now)
            slot = Slot(stream, on_result, ChunkClock(self._period), now)
            self._slots.add(slot)
            self._counts.admitted += 1
            self._note_arrivals(slot)
            return slot

    def feed(self, slot: Slot, sample_rate: int, samples: FloatArray, timeout: float) -> None:
        """Add audio of one channel; see `StreamHandle.accept_waveform`."""
        seconds = len(samples) / sample_rate
        self._admission.check_length(seconds)
        with slot.input_lock:
            self._wait_for_room(slot, seconds, timeout)
            slot.stream.accept_waveform(sample_rate, samples)
            self._note_arrivals(slot)

    def finish(self, slot: Slot) -> None:
        """Declare the audio of a stream complete."""
        with slot.input_lock:
            slot.stream.input_finished()
            self._note_arrivals(slot)

    def release(self, slot: Slot) -> None:
        """Release a stream before its end. Without effect on a stream that has ended."""
        with self._changed:
            if self._remove(slot, StreamClosed("the stream was closed before its end")):
                self._counts.abandoned += 1

    def is_idle(self, slot: Slot) -> bool:
        """Whether nothing of the stream is being decoded or waits for it."""
        with self._changed:
            return not slot.busy and not slot.has_work

    def snapshot(self, slot: Slot) -> bytes:
        """The stream as bytes, between two steps."""
        with self._changed:
            while slot.busy and slot.phase is not SlotPhase.RELEASED:  # the worker of a released one may have died
                self._clock.wait(self._changed, None)
            if slot.phase is SlotPhase.RELEASED:
                raise StreamClosed("the stream has ended: nothing is left to go on with")
            self._slots.take([slot])
        try:
            with slot.input_lock:
                return slot.stream.snapshot()
        finally:
            with self._changed:
                self._slots.put_back([slot], self._clock.now())
                self._changed.notify_all()

    def metrics(self) -> EngineMetrics:
        """State of the engine now."""
        with self._changed:
            queued_seconds = self._slots.waiting_chunks * self._period
            return self._meter.metrics(len(self._slots), len(self._slots.ready), queued_seconds, self._clock.now())

    def close(self, grace: float) -> None:
        """Admit no more streams. Wait up to `grace` seconds for streams to end, then finish the others.

        Workers go on until everything is decoded.
        """
        with self._changed:
            self._admission.takes_streams = False
            end = self._clock.now() + grace
            while self._slots and (left := end - self._clock.now()) > 0:
                self._clock.wait(self._changed, left)
            self._admission.takes_audio = False
            self._changed.notify_all()
            slots = list(self._slots)
        for slot in slots:
            self.finish(slot)
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    # Workers

    def schedule(self) -> list[Slot] | None:
        """Wait for the next batch. Its streams belong to the caller until `complete`. `None` at the engine's end."""
        with self._changed:
            while True:
                now = self._clock.now()
                if now >= self._next_expiry:
                    self._expire_idle(now)
                if self._stopped and not self._slots:
                    return None
                start = self._start_time(now)
                if start <= now:
                    share = max(_SMALL_BATCH, -(-len(self._slots.ready) // self._options.workers))
                    batch = choose(list(self._slots.ready), min(self._options.max_batch, share))
                    self._slots.take(batch)
                    return batch
                self._clock.wait(self._changed, min(start, self._next_expiry) - now)

    def complete(self, outcome: BatchOutcome) -> None:
        """Take a batch back: record it, and release the streams that ended or failed."""
        with self._changed:
            now = self._clock.now()
            latencies = tuple(max(now - due, 0.0) for due in self._slots.pop_chunks(outcome.batch))
            if latencies:
                self._meter.record(outcome.begin, now, latencies)
            self._slots.put_back(outcome.batch, now)
            for slot in outcome.ended:
                if self._remove(slot):
                    self._counts.finished += 1
            for slot in outcome.failed:
                if self._remove(slot):
                    self._counts.failed += 1
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """End every stream with an error: a worker broke down."""
        with self._changed:
            self._admission.takes_streams = self._admission.takes_audio = False
            self._stopped = True
            for slot in self._slots:
                if self._remove(slot, error):
                    self._counts.failed += 1

    def abandon(self) -> None:
        """Note that nobody holds the engine or a handle any more. Takes no lock: the garbage collector may call this.

        Workers notice it within a second.
        """
        self._abandoned = True

    # Under the lock

    def _wait_for_room(self, slot: Slot, seconds: float, timeout: float) -> None:
        with self._changed:
            end = self._clock.now() + timeout
            while True:
                try:
                    self._admission.check_audio(slot, seconds, self._slots.waiting_chunks)
                    return
                except Overloaded:
                    if (left := end - self._clock.now()) <= 0:
                        raise
                self._clock.wait(self._changed, left)

    def _note_arrivals(self, slot: Slot) -> None:
        """Take note of what was fed; `input_lock` is held, or the slot is new."""
        with self._changed:
            if self._slots.note_arrivals(slot, self._clock.now()):
                self._changed.notify_all()

    def _remove(self, slot: Slot, error: Exception | None = None) -> bool:
        """Release a slot, unless that was done before. An `error` ends its results."""
        if not self._slots.remove(slot):
            return False
        if error is not None:
            slot.results.end(error)
        self._changed.notify_all()
        return True

    def _expire_idle(self, now: float) -> None:
        """Release streams whose results nobody can get; finish streams whose audio stopped coming.

        An engine that nobody holds stops when its last stream is gone.
        """
        self._next_expiry = now + min(_EXPIRY_SECONDS, self._idle_timeout)
        self._stopped = self._stopped or self._abandoned
        for slot in self._slots:
            idle = now - slot.active_at >= self._idle_timeout and not slot.has_work
            if slot.is_lost:
                self.release(slot)
            elif idle and slot.input_lock.acquire(blocking=False):  # else a caller is feeding it just now
                try:
                    self._counts.timed_out += 1
                    slot.timed_out = True
                    slot.stream.input_finished()
                    self._note_arrivals(slot)
                finally:
                    slot.input_lock.release()

    def _start_time(self, now: float) -> float:
        ready = self._slots.ready
        if not ready:
            return math.inf
        has_ended = any(not slot.chunks.waiting for slot in ready)
        if self._stopped or has_ended or self._slots.without_work == 0 or len(ready) >= self._options.max_batch:
            return now
        max_wait, deadline = self._options.max_wait_ms / 1e3, self._options.deadline_ms / 1e3
        return start_time(ready, max_wait, deadline, self._meter.expected(len(ready)))
