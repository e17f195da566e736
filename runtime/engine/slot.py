"""One admitted stream of an engine: its stream, when its chunks are due, where its results go."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeAlias

from emf.runtime.engine.batching import ChunkClock
from emf.runtime.engine.result_queue import ResultQueue
from emf.runtime.recognition.result import Result
from emf.runtime.recognition.stream import Stream

OnResult: TypeAlias = Callable[[Result], None]


@dataclass(slots=True, eq=False)
class Slot:
    """A stream that an engine carries. All but `stream`, `results` and `input_lock` belongs to the dispatcher.

    Attributes:
        stream: fed under `input_lock`; decoded by the one that made the slot `busy`.
        results: its results.
        on_result: called with each result instead of keeping it.
        chunks: when its chunks are due.
        active_at: when audio came last, seconds.
        input_lock: held by who feeds the stream.
        steps_heard: steps of which the audio is complete.
        ready_since: when its next chunk could have been decoded first, seconds.
        busy: being decoded, or being written as a snapshot.
        finished: its input is declared over.
        released: it holds no slot any more.
        abandoned: its handle is gone; set by the garbage collector, which may hold any lock.
        closed_because: why it takes no more audio, if its caller did not say so.
    """

    stream: Stream
    results: ResultQueue
    on_result: OnResult | None
    chunks: ChunkClock
    active_at: float
    input_lock: Lock = field(default_factory=Lock)
    steps_heard: int = 0
    ready_since: float = 0.0
    busy: bool = False
    finished: bool = False
    released: bool = False
    abandoned: bool = False
    closed_because: str = ""

    @property
    def due(self) -> float:
        """When its next chunk is due, or, without one, when there was nothing left but to end."""
        return self.chunks.waiting[0] if self.chunks.waiting else self.ready_since

    @property
    def has_work(self) -> bool:
        """Whether there is a chunk to decode, or an end to tell."""
        return bool(self.chunks.waiting) or self.finished

    def abandon(self) -> None:
        """Note that the handle is gone. Takes no lock: the garbage collector may call this anywhere."""
        self.abandoned = True
