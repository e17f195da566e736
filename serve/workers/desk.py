"""Where a worker takes its server's messages: each stream has a task of its own, so that none waits for another."""

import asyncio
import os
from collections.abc import Callable

import numpy as np

from emf.runtime.errors import EmfError, StreamClosed
from emf.serve.pool.in_process import EngineStream, InProcessPool
from emf.serve.pool.stream_pool import StreamWishes
from emf.serve.workers.messages import (
    Close,
    Feed,
    Finish,
    FromWorker,
    Heard,
    Look,
    Open,
    Opened,
    Over,
    Ping,
    Pong,
    Ready,
    Snapshot,
    TakeSnapshot,
    ToWorker,
)

_ROOM_SECONDS = 0.02
"""Between two looks for room in a full queue."""
_FIRST_LOOK, _LONGEST_LOOK = 0.003, 0.1
"""Seconds between two looks whether a stream has become idle, where the server asks."""


class Desk:
    """Takes messages for an engine, in an event loop, and sends the answers by `send`, which does not wait."""

    def __init__(self, pool: InProcessPool, send: Callable[[FromWorker], None]) -> None:
        self._pool, self._send = pool, send
        self._streams: dict[int, _DeskStream] = {}

    def ready(self, seconds: float) -> Ready:
        """The first message of a worker that needed so many seconds to get here."""
        pool = self._pool
        identity, metrics = dict(pool.identity), pool.metrics()[0]
        return Ready(os.getpid(), pool.facts.sample_rate, identity, metrics, seconds, pool.segment)

    def handle(self, message: ToWorker) -> None:
        """Take a message; returns at once."""
        match message:
            case Ping():
                self._send(Pong(self._pool.metrics()[0]))
            case Open(stream):
                self._streams[stream] = _DeskStream(message, self._pool, self._send, self._forget)
            case Close(stream):
                if found := self._streams.pop(stream, None):
                    found.close()
            case Feed() | Finish() | TakeSnapshot() | Look():
                if known := self._streams.get(message.stream):
                    known.messages.put_nowait(message)

    def _forget(self, stream: int) -> None:
        self._streams.pop(stream, None)

    async def close(self) -> None:
        """End all streams and the engine."""
        for stream in self._streams.values():
            stream.close()
        await self._pool.close()


class _DeskStream:
    """One stream.

    Attributes:
        messages: that wait to be taken.
    """

    def __init__(
        self,
        opening: Open,
        pool: InProcessPool,
        send: Callable[[FromWorker], None],
        on_over: Callable[[int], None],
    ) -> None:
        self.messages: asyncio.Queue[Feed | Finish | TakeSnapshot | Look] = asyncio.Queue()
        self._number, self._pool, self._send, self._on_over = opening.stream, pool, send, on_over
        self._fed = 0
        self._closed = False
        self._stream: EngineStream | None = None
        self._look: asyncio.TimerHandle | None = None
        self._is_asked = False
        self._reader: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._run(opening))

    def close(self) -> None:
        """Give the stream up, and say nothing more of it."""
        self._closed = True
        self._task.cancel()
        if self._stream is not None:
            self._stream.close()
        if self._look is not None:
            self._look.cancel()

    def _tell(self, message: FromWorker) -> None:
        if not self._closed:
            self._send(message)

    async def _run(self, opening: Open) -> None:
        wishes = StreamWishes(opening.phrases, opening.endpoint, opening.forgiving)
        try:
            snapshot = None if opening.snapshot is None else bytes(opening.snapshot)
            stream = await self._pool.open(wishes, snapshot)
        except Exception as error:
            self._over(error)
            return
        self._stream = stream
        if self._closed:
            stream.close()
            return
        self._tell(Opened(self._number))
        self._tell_if_idle(stream)
        self._reader = asyncio.create_task(self._read(stream))
        try:
            while True:
                await self._take(stream, await self.messages.get())
        except StreamClosed:
            pass  # it has ended; the reader knows why
        except Exception as error:
            stream.close()
            self._over(error)

    async def _take(self, stream: EngineStream, message: Feed | Finish | TakeSnapshot | Look) -> None:
        match message:
            case Feed(_, sample_rate, data):
                samples = np.frombuffer(data, "<f4")
                while not stream.feed(sample_rate, samples):
                    await asyncio.sleep(_ROOM_SECONDS)
                self._fed += 1
                self._tell_if_idle(stream)
            case Finish():
                stream.finish()
            case TakeSnapshot(_, name):
                data, seconds = await stream.timed_snapshot()
                self._tell(Snapshot(self._number, name, memoryview(data), seconds))
                self._tell_if_idle(stream)
            case Look():
                self._is_asked = True
                self._look_once(stream, _FIRST_LOOK)

    async def _read(self, stream: EngineStream) -> None:
        try:
            async for result in stream.results():
                is_idle = stream.is_idle
                self._tell(Heard(self._number, self._fed, is_idle, stream.missing, result))
                if self._is_asked and not is_idle:  # a result comes a moment before that
                    self._look_again(stream, _FIRST_LOOK)
        except Exception as error:
            self._over(error)
        else:
            self._over(None)

    def _look_again(self, stream: EngineStream, seconds: float) -> None:
        """Find out when nothing is left to decode."""
        if self._look is not None:
            self._look.cancel()
        self._look = None
        if not self._closed:
            self._look = asyncio.get_running_loop().call_later(seconds, self._look_once, stream, seconds)

    def _look_once(self, stream: EngineStream, seconds: float) -> None:
        if not self._tell_if_idle(stream):
            self._look_again(stream, min(2.0 * seconds, _LONGEST_LOOK))

    def _tell_if_idle(self, stream: EngineStream) -> bool:
        is_idle = stream.is_idle
        if is_idle:
            self._is_asked = False
            self._tell(Heard(self._number, self._fed, True, stream.missing))
        return is_idle

    def _over(self, error: Exception | None) -> None:
        if error is None:
            self._tell(Over(self._number))
        elif isinstance(error, EmfError):
            self._tell(Over(self._number, type(error).__name__, str(error)))
        else:
            self._tell(Over(self._number, type(error).__name__, "the stream failed"))
        self._closed = True
        self._on_over(self._number)
        self._task.cancel()
