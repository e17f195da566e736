"""Workers that end, hang, are replaced or moved from: no stream notices."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from emf.runtime import EndpointRules, Recognizer
from emf.runtime.arrays import FloatArray
from emf.runtime.errors import Overloaded, StreamClosed, UsageError
from emf.serve.failover.worker_pool import WorkerPool
from emf.serve.pool.stream_pool import StreamWishes
from emf.serve.workers.link import Loss
from tests.serve.failover.local_workers import POISON, LocalLaunchers, hear, pool_of, speak, told
from tests.signals import SAMPLE_RATE, speech_like

RULES = EndpointRules(silence_after_speech=0.3, max_length=1.5)
AUDIO = speech_like(6.0, seed=5)
SECONDS = 60.0


@pytest.fixture(scope="module")
def recognizer(tiny_artifact: Path) -> Recognizer:
    return Recognizer.load(tiny_artifact, num_threads=1, endpoint=RULES)


class Trial:
    """A pool of local workers, for one test."""

    def __init__(self, recognizer: Recognizer, count: int = 2, silence: float = 5.0) -> None:
        self.launcher = LocalLaunchers(recognizer)
        self.pool: WorkerPool = pool_of(self.launcher, recognizer, count, silence)

    async def texts(
        self, streams: int, each: Callable[[int], None] = lambda _: None, samples: FloatArray = AUDIO
    ) -> list[list[tuple[int, str]]]:
        """What streams say that speak at once; the first calls `each`."""
        async with asyncio.timeout(SECONDS):
            opened = [await self.pool.open() for _ in range(streams)]
            hearing = [asyncio.create_task(hear(stream)) for stream in opened]
            first, *others = opened
            await asyncio.gather(speak(first, samples, 0.02, each), *(speak(one, samples, 0.02) for one in others))
            return [told(results) for results in await asyncio.gather(*hearing)]


@pytest.fixture(scope="module")
def alone(recognizer: Recognizer) -> Iterator[list[tuple[int, str]]]:
    async def run() -> list[tuple[int, str]]:
        trial = Trial(recognizer, 1)
        await trial.pool.start()
        (text,) = await trial.texts(1)
        await trial.pool.close()
        return text

    found = asyncio.run(run())
    assert len([text for _, text in found if text]) > 2
    yield found


def test_a_worker_that_ends_takes_no_word_along(recognizer: Recognizer, alone: list[tuple[int, str]]) -> None:
    async def run() -> list[list[tuple[int, str]]]:
        trial = Trial(recognizer)
        await trial.pool.start()

        def end_one(number: int) -> None:
            if number % 7 == 5 and trial.launcher.living:
                trial.launcher.living[number % len(trial.launcher.living)].end(Loss.KILLED)

        try:
            return await trial.texts(4, end_one)
        finally:
            assert len(trial.launcher.links) > 5
            await trial.pool.close()

    assert asyncio.run(run()) == [alone] * 4


def test_a_worker_that_stands_still_is_given_up_and_heard_no_more(
    recognizer: Recognizer, alone: list[tuple[int, str]]
) -> None:
    async def run() -> list[list[tuple[int, str]]]:
        trial = Trial(recognizer, 3, silence=0.4)
        await trial.pool.start()
        stopped = trial.launcher.links[0]

        def stop(number: int) -> None:
            if number == 20:
                stopped.is_stopped = True

        texts = await trial.texts(3, stop)
        assert stopped.is_severed
        stopped.is_stopped = False  # it wakes
        await trial.pool.close()
        return texts

    assert asyncio.run(run()) == [alone] * 3


def test_a_stream_that_ends_its_workers_ends_alone(recognizer: Recognizer, alone: list[tuple[int, str]]) -> None:
    poisoned = AUDIO.copy()
    poisoned[3 * SAMPLE_RATE] = POISON

    async def doom(pool: WorkerPool) -> None:
        stream = await pool.open()
        hearing = asyncio.create_task(hear(stream))
        with suppress(StreamClosed):
            await speak(stream, poisoned, 0.02)
        with pytest.raises(StreamClosed, match="again and again"):
            await hearing

    async def run() -> tuple[list[list[tuple[int, str]]], int]:
        trial = Trial(recognizer)
        await trial.pool.start()
        texts, _ = await asyncio.gather(trial.texts(3), doom(trial.pool))
        await trial.pool.close()
        return texts, len(trial.launcher.links) - 2

    texts, ended = asyncio.run(run())
    assert texts == [alone] * 3
    assert 2 <= ended <= 4


def test_streams_move_to_renewed_workers(recognizer: Recognizer, alone: list[tuple[int, str]]) -> None:
    async def run() -> list[list[tuple[int, str]]]:
        trial = Trial(recognizer)
        await trial.pool.start()
        renewing: list[asyncio.Task[None]] = []

        def renew(number: int) -> None:
            if number == 20:
                renewing.append(asyncio.create_task(trial.pool.renew()))

        texts = await trial.texts(4, renew)
        await renewing[0]
        assert [link.is_severed for link in trial.launcher.links] == [True, True, False, False]
        await trial.pool.close()
        return texts

    assert asyncio.run(run()) == [alone] * 4


def test_streams_of_another_model_stay_to_their_ends(recognizer: Recognizer, alone: list[tuple[int, str]]) -> None:
    async def run() -> list[list[tuple[int, str]]]:
        trial = Trial(recognizer)
        await trial.pool.start()
        old = list(trial.launcher.links)
        renewing: list[asyncio.Task[None]] = []

        def renew(number: int) -> None:
            if number == 30:
                trial.launcher.other = {"model": "another"}
                renewing.append(asyncio.create_task(trial.pool.renew()))
            if number == 50:
                assert not any(link.is_severed for link in old)

        texts = await trial.texts(2, renew)
        await renewing[0]
        async with asyncio.timeout(SECONDS):
            while not all(link.is_severed for link in old):
                await asyncio.sleep(0.02)
        await trial.pool.close()
        return texts

    assert asyncio.run(run()) == [alone] * 2


def test_load_is_evened_out(recognizer: Recognizer, alone: list[tuple[int, str]]) -> None:
    async def run() -> tuple[list[list[tuple[int, str]]], list[int]]:
        trial = Trial(recognizer)
        await trial.pool.start()
        counts: list[int] = []

        def end_one(number: int) -> None:
            if number == 5:
                trial.launcher.links[0].end(Loss.KILLED)
            counts.append(min((len(worker.streams) for worker in trial.pool.workers), default=0))

        texts = await trial.texts(6, end_one, np.tile(AUDIO, 2))
        await trial.pool.close()
        return texts, counts

    texts, counts = asyncio.run(run())
    assert len(set(map(tuple, texts))) == 1
    assert max(counts[10:]) >= 2, "the new worker gets streams of the old one"


def test_what_a_pool_refuses(recognizer: Recognizer) -> None:
    async def run() -> None:
        trial = Trial(recognizer, 1)
        await trial.pool.start()
        with pytest.raises(UsageError, match="phrase"):
            await trial.pool.open(StreamWishes({"§": 2.0}))
        streams = [await trial.pool.open() for _ in range(8)]
        with pytest.raises(Overloaded):
            await trial.pool.open()
        streams[0].close()
        stream = await trial.pool.open()
        stream.close()
        with pytest.raises(StreamClosed):
            stream.feed(SAMPLE_RATE, AUDIO[:100])
        with pytest.raises(StreamClosed):
            await stream.snapshot()
        await trial.pool.close()

    asyncio.run(run())
