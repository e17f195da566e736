"""One admitted stream of an engine: its phase, its waiting chunks and its results."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from threading import Lock
from typing import TypeAlias

from emf.runtime.engine.batching import ChunkClock
from emf.runtime.engine.result_queue import ResultQueue
from emf.runtime.recognition.result import Result
from emf.runtime.recognition.stream import Stream

OnResult: TypeAlias = Callable[[Result], None]


class SlotPhase(Enum):
    """Where a stream stands between its admission and its end. Phases only move forward."""

    LISTENING = auto()  # takes audio
    FINISHED = auto()  # its input is over; what is left is decoded
    RELEASED = auto()  # holds no slot any more


@dataclass(slots=True, eq=False)
class Slot:
    """A stream in an engine. Only `SlotTable` moves it from phase to phase, under the scheduler's lock.

    Attributes:
        stream: fed by the thread that holds `input_lock`; decoded by the thread that made the slot `busy`.
        on_result: called with each result, if given.
        chunks: when its waiting chunks are due.
        active_at: when audio came last, seconds.
        results: its results; has a lock of its own.
        input_lock: held by the thread that feeds the stream.
        ready_since: when its next chunk could have been decoded first, seconds.
        busy: the stream is being decoded, or written as a snapshot.
        timed_out: the engine finished its input because no audio came.
        abandoned: its handle is gone.
    """

    stream: Stream
    on_result: OnResult | None
    chunks: ChunkClock
    active_at: float
    results: ResultQueue = field(default_factory=ResultQueue, init=False)
    input_lock: Lock = field(default_factory=Lock, init=False)
    ready_since: float = field(default=0.0, init=False)
    busy: bool = field(default=False, init=False)
    timed_out: bool = field(default=False, init=False)
    abandoned: bool = field(default=False, init=False)
    _complete_steps: int = field(init=False)
    _phase: SlotPhase = field(default=SlotPhase.LISTENING, init=False)

    def __post_init__(self) -> None:
        self._complete_steps = self.stream.state.clock.step

    @property
    def phase(self) -> SlotPhase:
        """The phase, changed by `note_arrivals` and `release` alone."""
        return self._phase

    @property
    def due(self) -> float:
        """When its next chunk is due. Without a chunk: when its end could have been decoded first."""
        return self.chunks.waiting[0] if self.chunks.waiting else self.ready_since

    @property
    def has_work(self) -> bool:
        """Whether a chunk waits to be decoded, or the final result is still to be made."""
        return bool(self.chunks.waiting) or self._phase is SlotPhase.FINISHED

    @property
    def is_lost(self) -> bool:
        """Whether nobody can get its results any more. A callback still gets those of a finished stream."""
        return self.abandoned and not (self._phase is SlotPhase.FINISHED and self.on_result)

    @property
    def missing(self) -> float:
        """Seconds of audio that must come before another chunk is complete; a little more where it is resampled."""
        stream, rate = self.stream, self.stream.settings.sample_rate
        resampler = stream.state.resampler
        taken = resampler.seconds_taken if resampler else None
        came = stream.state.audio.end / rate if taken is None else taken
        return max(stream.settings.extractor.end_sample(self._complete_steps) / rate - came, 0.0)

    def note_arrivals(self, now: float) -> int:
        """Count the chunks that became complete. Move on to FINISHED where the stream's input is over.

        The caller holds `input_lock`, or has just made the slot.
        """
        if self._phase is SlotPhase.RELEASED:
            return 0
        self.active_at = now
        audio, extractor = self.stream.state.audio, self.stream.settings.extractor
        before = self._complete_steps
        while extractor.is_ready(audio, self._complete_steps):
            self._complete_steps += 1
            self.chunks.arrived(now)
        if audio.finished:
            self._phase = SlotPhase.FINISHED
        return self._complete_steps - before

    def release(self) -> int:
        """Move on to RELEASED. Return how many waiting chunks were discarded."""
        discarded = len(self.chunks.waiting)
        self.chunks.waiting.clear()
        self._phase = SlotPhase.RELEASED
        return discarded

    def abandon(self) -> None:
        """Note that the handle is gone. Takes no lock: the garbage collector may call this anywhere."""
        self.abandoned = True
