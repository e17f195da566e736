"""Workers that come with streams and go with them; no stream notices."""

import asyncio
from pathlib import Path

import pytest

from emf.runtime import Recognizer
from emf.serve.failover.elastic_pool import Elasticity, Scaler
from tests.serve.failover.local_workers import LocalLaunchers, hear, pool_of, speak, told
from tests.signals import speech_like


@pytest.mark.parametrize(
    ("workers", "streams", "capacity", "wanted"),
    [
        (1, 5, 8, 1),
        (1, 6, 8, 2),
        (2, 8, 16, 2),
        (2, 4, 16, 1),
        (2, 5, 16, 2),
        (3, 24, 24, 3),
        (1, 0, 8, 1),
        (1, 0, 0, 2),
    ],
)
def test_wanted(workers: int, streams: int, capacity: int, wanted: int) -> None:
    assert Elasticity(1, 3).wanted(workers, streams, capacity) == wanted


def test_a_worker_comes_and_goes_under_load(tiny_artifact: Path) -> None:
    recognizer = Recognizer.load(tiny_artifact, num_threads=1)
    audio = speech_like(10.0, seed=5)

    async def run() -> None:
        launcher = LocalLaunchers(recognizer)
        pool = pool_of(launcher, recognizer, 1)
        await pool.start()
        scaler = Scaler(pool, Elasticity(1, 2, calm=0.0))
        streams = [await pool.open() for _ in range(7)]
        hearing = [asyncio.create_task(hear(stream)) for stream in streams]
        speaking = [asyncio.create_task(speak(stream, audio, 0.03)) for stream in streams]
        await scaler.look()
        assert (pool.size, pool.capacity, len(launcher.links)) == (2, 16, 2)
        async with asyncio.timeout(60):
            while not all(worker.streams for worker in pool.workers):  # the load is evened out
                await asyncio.sleep(0.02)
            pool.shrink()
            await asyncio.gather(*speaking)
            texts = [told(results) for results in await asyncio.gather(*hearing)]
        assert texts[0][-1][1] and texts == texts[:1] * len(texts)
        async with asyncio.timeout(60):
            while len(launcher.living) > 1:
                await asyncio.sleep(0.02)
        assert (pool.size, pool.capacity) == (1, 8)
        await scaler.look()
        assert pool.size == 1
        await pool.close()

    asyncio.run(run())
