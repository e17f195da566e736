"""Audio that completes no segment waits in the session, without a step of the decoder; nothing of it is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.recognition.result import Result
from emf.serve.pool.places import Places
from emf.serve.pool.stream_pool import NO_WISHES, LiveStream, ModelFacts, StreamWishes
from emf.serve.session.audio_format import AudioFormat, Encoding
from emf.serve.session.events import Failed, FailureCode
from emf.serve.session.limits import SessionLimits
from emf.serve.session.session import Session
from emf.serve.session.settings import SessionSettings

RATE = 16_000
FIRST, SEGMENT, PIECE = 3200, 2560, 320
"""Samples: until the first segment is complete, of each segment, of a message."""
LIMITS = SessionLimits(idle_timeout=60.0, park_after=60.0, flush_after=60.0)
PATIENCE = 60.0


class Stream:
    """Takes audio and says nothing.

    Attributes:
        fed: samples of every piece.
    """

    def __init__(self) -> None:
        self.fed: list[int] = []
        self.is_parked = False
        self._ended = asyncio.Event()

    def feed(self, sample_rate: int, samples: FloatArray) -> bool:
        self.fed.append(len(samples))
        return True

    @property
    def missing(self) -> float:
        came = sum(self.fed)
        end = FIRST + max(came - FIRST + SEGMENT, 0) // SEGMENT * SEGMENT
        return (end - came) / RATE

    def finish(self) -> None:
        self._ended.set()

    async def results(self) -> AsyncIterator[Result]:
        await self._ended.wait()
        nothing: list[Result] = []
        for result in nothing:
            yield result

    @property
    def is_idle(self) -> bool:
        return True

    async def snapshot(self) -> bytes:
        self.is_parked = True
        return b"state"

    def close(self) -> None:
        self._ended.set()


class Pool:
    """One stream."""

    facts = ModelFacts("silent", RATE)
    capacity = 1

    def __init__(self) -> None:
        self.stream = Stream()

    async def open(self, wishes: StreamWishes = NO_WISHES, snapshot: bytes | None = None) -> LiveStream:
        return self.stream

    def spell(self, token_ids: Sequence[int]) -> str:
        return ""

    def metrics(self) -> Sequence[EngineMetrics]:
        return ()

    async def close(self) -> None:
        pass


class Unwatched:
    """Measures nothing."""

    def lag(self, seconds: float) -> None:
        pass

    def final(self, seconds: float) -> None:
        pass

    def failed(self, code: str) -> None:
        pass


def session_of(pool: Pool, limits: SessionLimits = LIMITS) -> Session:
    places = Places(lambda: 1)
    settings = SessionSettings(AudioFormat(Encoding.PCM_S16LE, RATE, 1, False))
    return Session(pool, places.take(), settings, limits, Unwatched())


async def speak(session: Session, messages: int, pause: float = 0.0) -> None:
    for _ in range(messages):
        session.feed(np.zeros(PIECE, np.int16).tobytes())
        await asyncio.sleep(pause)


async def until(stream: Stream, samples: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while sum(stream.fed) < samples:
            await asyncio.sleep(0.005)


def test_a_segment_of_small_messages_is_decoded_at_once() -> None:
    async def run() -> list[int]:
        pool = Pool()
        session = session_of(pool)
        await speak(session, 1)
        await until(pool.stream, PIECE)  # the stream is open now
        for message in range(1, 26):
            await speak(session, 1)
            if (message + 1) * PIECE >= FIRST and ((message + 1) * PIECE - FIRST) % SEGMENT == 0:
                await until(pool.stream, (message + 1) * PIECE)
        fed = list(pool.stream.fed)
        session.finish()
        await session.close()
        return fed

    assert asyncio.run(run()) == [PIECE, FIRST - PIECE, SEGMENT, SEGMENT]


def test_the_end_comes_behind_all_of_it() -> None:
    async def run() -> int:
        pool = Pool()
        session = session_of(pool)
        await speak(session, 1)
        await until(pool.stream, PIECE)
        await speak(session, 5)
        session.finish()
        async with asyncio.timeout(PATIENCE):
            while await session.take() is not None:
                pass
        return sum(pool.stream.fed)

    assert asyncio.run(run()) == 6 * PIECE


def test_a_stream_that_is_given_back_in_a_silence_holds_all_of_it() -> None:
    async def run() -> tuple[bool, int]:
        pool = Pool()
        session = session_of(pool, replace(LIMITS, park_after=0.2))
        await speak(session, 1)
        await until(pool.stream, PIECE)
        await speak(session, 3)
        async with asyncio.timeout(PATIENCE):
            while not pool.stream.is_parked:
                await asyncio.sleep(0.01)
        await session.close()
        return not session.is_silent, sum(pool.stream.fed)

    assert asyncio.run(run()) == (False, 4 * PIECE)


def test_a_session_that_is_too_long_ends_although_audio_goes_on() -> None:
    """It comes faster than a decoder ever waits for it."""

    async def run() -> object:
        session = session_of(Pool(), replace(LIMITS, max_session=0.3))
        speaking = asyncio.create_task(speak(session, 5_000, pause=0.002))
        async with asyncio.timeout(PATIENCE):
            while not isinstance(event := await session.take(), Failed | None):
                pass
        speaking.cancel()
        return event.code if event else None

    assert asyncio.run(run()) == FailureCode.TOO_LONG
