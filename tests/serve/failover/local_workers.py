"""Workers in the test's own process, that end whenever a test wants."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from emf.runtime import Engine, Recognizer
from emf.runtime.arrays import FloatArray
from emf.runtime.recognition.result import Result
from emf.serve.failover.worker_pool import WorkerPool
from emf.serve.pool.in_process import InProcessPool
from emf.serve.pool.stream_pool import LiveStream
from emf.serve.workers.desk import Desk
from emf.serve.workers.link import Link, Loss
from emf.serve.workers.messages import Feed, FromWorker, ToWorker, encode, to_worker
from tests.signals import SAMPLE_RATE

POISON = 0.123456
"""A sample that ends its worker."""


class LocalPool(InProcessPool):
    """A pool that says it is of another model."""

    other: Mapping[str, str] = {}

    @property
    def identity(self) -> Mapping[str, str]:
        return {**super().identity, **self.other}


class LocalLink:
    """A `Link` to a desk of this event loop.

    Attributes:
        sent: messages of the worker.
    """

    def __init__(self, recognizer: Recognizer, other: Mapping[str, str]) -> None:
        self._engine = Engine(recognizer, max_streams=8, idle_timeout_ms=1e9)
        pool = LocalPool(recognizer, self._engine, "local", beyond_capacity=True)
        pool.other = other
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.desk = Desk(pool, self._say)
        self.sent: list[FromWorker] = []
        self.is_stopped = self.is_severed = False
        self._late: list[ToWorker] = []
        self._how = Loss.STOPPED
        self._say(self.desk.ready(0.0))

    def _say(self, message: FromWorker) -> None:
        self.sent.append(message)
        self._answers.put_nowait(encode(message))

    def send(self, frame: bytes) -> None:
        message = to_worker(frame)
        if isinstance(message, Feed) and b"".join([message.samples[:4]]) == _poison():
            self.end(Loss.CRASHED)
        elif self.is_stopped:
            self._late.append(message)
        elif not self.is_severed:
            self.desk.handle(message)

    async def receive(self) -> bytes | None:
        while (frame := await self._answers.get()) is not None and self.is_stopped:
            pass
        return None if self.is_severed else frame

    def sever(self) -> None:
        self.end(self._how)

    async def loss(self) -> Loss:
        return self._how

    def end(self, how: Loss) -> None:
        """Lose the worker."""
        if not self.is_severed:
            self.is_severed, self._how = True, how
            self._answers.put_nowait(None)
            self._closing = asyncio.create_task(self.desk.close())


def _poison() -> bytes:
    import numpy as np

    return np.float32(POISON).tobytes()


class LocalLaunchers:
    """A `Launcher`, and the links that it made."""

    def __init__(self, recognizer: Recognizer) -> None:
        self.links: list[LocalLink] = []
        self.other: Mapping[str, str] = {}
        self._recognizer = recognizer

    async def launch(self, number: int) -> Link:
        self.links.append(LocalLink(self._recognizer, self.other))
        return self.links[-1]

    @property
    def living(self) -> list[LocalLink]:
        return [link for link in self.links if not link.is_severed]


def pool_of(launcher: LocalLaunchers, recognizer: Recognizer, count: int, silence: float = 20.0) -> WorkerPool:
    return WorkerPool(launcher, count, recognizer.tokens, "local", silence=silence)


async def hear(stream: LiveStream) -> list[Result]:
    return [result async for result in stream.results()]


async def speak(
    stream: LiveStream, samples: FloatArray, pause: float = 0.0, each: Callable[[int], None] = lambda _: None
) -> None:
    """Feed a stream a tenth of a second at a time; `each` is called with the number of every piece."""
    step = SAMPLE_RATE // 10
    for number, at in enumerate(range(0, len(samples), step)):
        each(number)
        while not stream.feed(SAMPLE_RATE, samples[at : at + step]):
            await asyncio.sleep(0.01)
        await asyncio.sleep(pause)
    stream.finish()


def told(results: list[Result]) -> list[tuple[int, str]]:
    """The segments, and what each says; checks that nothing was taken back or said twice."""
    ends: list[tuple[int, str]] = []
    before: Result | None = None
    for result in results:
        if before is not None:
            assert (result.segment, result.ends_segment, result.end_time) > (
                before.segment,
                before.ends_segment,
                before.end_time,
            )
            if result.segment == before.segment:
                assert result.stable_text.startswith(before.stable_text)
        before = result
        if result.ends_segment:
            ends.append((result.segment, result.text))
    return ends


__all__ = ["LocalLaunchers", "LocalLink", "hear", "pool_of", "replace", "speak", "told"]
