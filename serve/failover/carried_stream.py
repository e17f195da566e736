"""A stream that outlives the workers that decode it: its latest snapshot, the audio since, and what was told of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from emf.runtime import errors
from emf.runtime.arrays import FloatArray
from emf.runtime.audio.samples import check_sample_rate, to_mono_float
from emf.runtime.engine.result_queue import ResultQueue
from emf.runtime.errors import AudioError, EmfError, StreamClosed
from emf.runtime.recognition.result import Result
from emf.serve.failover.audio_since import AudioSince, Piece
from emf.serve.failover.next_segment import NextSegment
from emf.serve.failover.remote_worker import RemoteWorker
from emf.serve.failover.told import Told
from emf.serve.failover.trouble import Trouble
from emf.serve.pool.stream_pool import StreamWishes
from emf.serve.workers.messages import Close, Feed, Finish, Heard, Look, Open, Opened, Over, Snapshot, TakeSnapshot

T = TypeVar("T")
_MOST_UNTAKEN = 10.0
"""Seconds of audio on the way to a worker, whose engine has a queue of its own."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A snapshot that was asked for, and how much of the audio it will hold."""

    name: int
    messages: int


class CarriedStream:
    """A `LiveStream` on one worker after another.

    Attributes:
        number: its name at its worker.
        worker: that decodes it; `None` while it waits for one.
        trouble: what is held against it.
        identity: of its snapshot: what workers must have to go on with it; `None` while any will do.
    """

    def __init__(
        self,
        numbers: Iterator[int],
        wishes: StreamWishes,
        snapshot: bytes | None,
        on_over: Callable[["CarriedStream"], None],
        on_pause: Callable[[str, float], None],
    ) -> None:
        """Begin without a worker.

        Args:
            numbers: give one for every time that it comes to a worker.
            wishes: of the stream.
            snapshot: to begin with.
            on_over: called at the end.
            on_pause: called after a move, with its reason and the seconds for which the stream said nothing.
        """
        self._numbers, self._wishes = numbers, wishes
        self._snapshot = None if snapshot is None else memoryview(snapshot)
        self._on_over, self._on_pause = on_over, on_pause
        self.number = -1
        self.worker: RemoteWorker | None = None
        self.trouble = Trouble()
        self.identity: Mapping[str, str] | None = None
        self._move: tuple[str, float] | None = None
        self._since, self._next = AudioSince(), NextSegment()
        self._sample_rate: int | None = None
        self._finished = self._holds_finish = self._is_over = self._is_idle = self._has_look = False
        self._asked: _Asked | None = None
        self._names = 0
        self._told, self._results = Told(), ResultQueue()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._taken: list[asyncio.Future[bytes]] = []

    # The session's side: see `LiveStream`

    def feed(self, sample_rate: int, samples: FloatArray) -> bool:
        """See `LiveStream`."""
        if self._is_over or self._finished:
            raise StreamClosed("the stream is closed and takes no more audio")
        rate, mono = check_sample_rate(sample_rate), to_mono_float(samples)
        self._sample_rate = self._sample_rate or rate
        if rate != self._sample_rate:
            raise AudioError(f"expected {self._sample_rate} Hz as before, found {rate} Hz; open another stream")
        seconds = len(mono) / rate
        if self._since and self._since.untaken + seconds > _MOST_UNTAKEN:
            return False
        piece = Piece(rate, np.ascontiguousarray(mono, "<f4").tobytes(), seconds)
        self._since.append(piece)
        self._next.add(seconds)
        self._is_idle = False
        if self.worker is not None:
            self.worker.send(Feed(self.number, piece.sample_rate, piece.samples))
            if self._since.seconds >= self.worker.snapshot_interval:
                self._ask()
        return True

    def finish(self) -> None:
        """See `LiveStream`."""
        if not self._finished:
            self._finished, self._is_idle = True, False
            if self.worker is not None:
                self.worker.send(Finish(self.number))

    async def results(self) -> AsyncIterator[Result]:
        """See `LiveStream`."""
        while (result := await self._results.take_async()) is not None:
            yield result

    @property
    def is_idle(self) -> bool:
        """See `LiveStream`. Its worker is asked where that is not known, and answers as soon as it is idle."""
        if not self._is_idle:
            self._look()
        return self._is_idle

    @property
    def missing(self) -> float:
        """See `LiveStream`."""
        return self._next.missing(self.worker.facts.segment) if self.worker is not None else 0.0

    async def snapshot(self) -> bytes:
        """See `LiveStream`. Goes on where the worker is lost meanwhile."""
        taken: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self._is_over:
            raise StreamClosed("the stream has ended: nothing is left to go on with")
        self._taken.append(taken)
        self._asked = None  # one that was asked for before may lack audio
        self._ask()
        return await taken

    def close(self) -> None:
        """See `LiveStream`."""
        self._end(StreamClosed("the stream was closed before its end"))

    # The pool's side

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._is_over

    async def opened(self) -> None:
        """Wait until a worker has begun it.

        Raises:
            Exception: why none can.
        """
        await self._opened

    def attach(self, worker: RemoteWorker) -> None:
        """Go on at a worker, from the snapshot on."""
        self.worker, self.number, self._asked = worker, next(self._numbers), None
        self._since.restart()
        worker.streams[self.number] = self
        wishes = self._wishes
        phrases = dict(wishes.phrases) if wishes.phrases else None
        worker.send(Open(self.number, self._snapshot, phrases, wishes.endpoint, wishes.forgiving))
        for piece in self._since:
            worker.send(Feed(self.number, piece.sample_rate, piece.samples))
        # Audio that is whole before its first step may be decoded in passes (`Stream.is_in_passes`): as before, or not.
        self._holds_finish = self._finished and self._snapshot is None and self._told.is_midway
        if self._finished and not self._holds_finish:
            worker.send(Finish(self.number))
        if self._taken:
            self._ask()
        self._has_look = False
        self._look()

    def leave(self, why: str, silent_since: float) -> None:
        """Leave the worker, which is told, if it lives; `silent_since` by `time.monotonic`."""
        if self.worker is not None:
            self.worker.streams.pop(self.number, None)
            self.worker.send(Close(self.number))
        self.worker, self._asked, self._is_idle = None, None, False
        if self._move is None:
            self._move = why, silent_since

    def fail(self, error: Exception) -> None:
        """End the stream with an error."""
        self._end(error)

    def take(self, message: Opened | Heard | Snapshot | Over) -> None:
        """Take what its worker says."""
        match message:
            case Opened():
                if not self._opened.done():
                    self._opened.set_result(None)
                if not self._since and not self._finished:
                    self._resumed()
            case Heard():
                self._hear(message)
            case Snapshot():
                self._keep(message)
            case Over(_, kind, text):
                self._end(_error(kind, text) if kind else None)

    def _hear(self, message: Heard) -> None:
        self._since.taken(message.fed)
        self._next.told(self._since.untaken, message.missing)
        told = self._told.take(message.result) if message.result is not None else None
        if told is not None:
            self._results.put(told)
        is_idle = message.is_idle and message.fed == self._since.sent
        if message.is_idle and message.result is None:
            self._has_look = False
        if self._holds_finish and self.worker is not None and (message.result is not None or is_idle):
            self._holds_finish = False
            self.worker.send(Finish(self.number))
        if told is not None or is_idle:
            self.trouble.clear()
            self._resumed()
        if is_idle:
            self._is_idle = not self._finished

    def _resumed(self) -> None:
        if self._move is not None:
            why, silent_since = self._move
            self._move = None
            self._on_pause(why, time.monotonic() - silent_since)

    def _look(self) -> None:
        if self.worker is not None and not self._has_look:
            self._has_look = True
            self.worker.send(Look(self.number))

    def _ask(self) -> None:
        if self.worker is None or self._asked is not None:
            return
        self._names += 1
        self._asked = _Asked(self._names, len(self._since))
        self.worker.send(TakeSnapshot(self.number, self._names))

    def _keep(self, message: Snapshot) -> None:
        if self.worker is not None:
            self.worker.pace.measured(message.seconds)
        if self._asked is None or message.name != self._asked.name:
            return
        self._since.forget(self._asked.messages)
        self._snapshot, self._asked = message.data, None
        self.identity = self.worker.identity if self.worker is not None else None
        for taken in self._taken:
            if not taken.done():
                taken.set_result(bytes(message.data))
        self._taken.clear()

    def _end(self, error: Exception | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self.worker is not None:
            self.worker.streams.pop(self.number, None)
            self.worker.send(Close(self.number))
            self.worker = None
        ended = error or StreamClosed("the stream has ended: nothing is left to go on with")
        _fail(self._opened, ended)
        for taken in self._taken:
            _fail(taken, ended)
        self._since, self._snapshot = AudioSince(), None
        self._results.end(error)
        self._on_over(self)


def _error(kind: str, message: str) -> Exception:
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, EmfError):
        return found(message)
    return RuntimeError(f"{kind}: {message}")


def _fail(waiting: "asyncio.Future[T]", error: Exception) -> None:
    if not waiting.done():
        waiting.set_exception(error)
        waiting.exception()  # whether somebody waits or not
