"""Processes that are killed and stopped under load, in every protocol: the short form of `tools/chaos.py`."""

import asyncio
import itertools
import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx
import pytest

from emf.runtime.arrays import FloatArray
from emf.serve.load.clients import CLIENTS
from tests.serve.commands.test_serve import serving
from tests.signals import SAMPLE_RATE, speech_like

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))

from chaos import children, pauses, sample_rate, speaker
from chaos_wyoming import WYOMING, free_port

LIMIT = 2.0
FLAGS = ("--worker-timeout", str(LIMIT), "--max-streams", "40", "--silence-after-speech", "0.4")
SECONDS = 5.0
EACH = 2
PROTOCOLS = (*CLIENTS, WYOMING)


@dataclass(frozen=True)
class Trial:
    """A server whose workers end.

    Attributes:
        url: of its main port.
        wyoming: port.
        process: of the server.
    """

    url: str
    wyoming: int
    process: Popen[bytes]

    async def texts(self) -> dict[str, list[str]]:
        """What clients of every protocol hear that speak at once."""

        async def talk(protocol: str) -> list[str]:
            server = speaker(protocol, self.url, self.wyoming)
            calls = (server.speak(number, samples) for number, samples in enumerate(recordings(protocol)))
            return [one.text for one in await asyncio.gather(*calls)]

        found = await asyncio.gather(*(talk(protocol) for protocol in PROTOCOLS))
        return dict(zip(PROTOCOLS, found, strict=True))


def recordings(protocol: str) -> list[FloatArray]:
    rate = sample_rate(protocol)
    return [speech_like(SECONDS * rate / SAMPLE_RATE, seed=seed) for seed in range(EACH)]


@contextmanager
def trial(artifact: Path, workers: int) -> Iterator[Trial]:
    port = free_port()
    with serving(artifact, *FLAGS, "--workers", str(workers), "--wyoming-port", str(port)) as (url, process):
        yield Trial(url, port, process)


@pytest.fixture(scope="module")
def two_workers(tiny_artifact: Path) -> Iterator[Trial]:
    with trial(tiny_artifact, 2) as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(two_workers: Trial) -> dict[str, list[str]]:
    return asyncio.run(two_workers.texts())


async def disturb(process: Popen[bytes]) -> list[str]:
    """End a worker every second; the second is stopped."""
    chance, ended = random.Random(3), list[str]()
    for number in range(5):
        await asyncio.sleep(0.9)
        how = signal.SIGSTOP if number == 1 else signal.SIGKILL
        with suppress(ProcessLookupError, IndexError):
            os.kill(chance.choice(children(process.pid)), how)
            ended.append(how.name)
    return ended


def test_workers_end_under_load_and_no_client_notices(two_workers: Trial, undisturbed: dict[str, list[str]]) -> None:
    async def run() -> None:
        disturbing = asyncio.create_task(disturb(two_workers.process))
        assert await two_workers.texts() == undisturbed
        assert all(all(said) for said in undisturbed.values())
        assert {"SIGKILL", "SIGSTOP"} <= set(await disturbing)
        counted = httpx.get(f"{two_workers.url}/metrics").text
        assert 'emf_worker_losses_total{how="killed"}' in counted
        assert 'emf_move_pause_seconds_bucket{le="0.05",why="lost"}' in counted

    asyncio.run(run())


def test_workers_that_are_stopped_wake_and_do_no_harm(tiny_artifact: Path, undisturbed: dict[str, list[str]]) -> None:
    """Of three, one wakes within the limit; another is given up, and what would wake it finds nobody."""

    async def stop(process: Popen[bytes]) -> None:
        await asyncio.sleep(0.8)
        short, long, _ = children(process.pid)
        os.kill(short, signal.SIGSTOP)
        await asyncio.sleep(LIMIT / 3)
        os.kill(short, signal.SIGCONT)
        os.kill(long, signal.SIGSTOP)
        async with asyncio.timeout(60.0):
            while long in children(process.pid):
                await asyncio.sleep(0.02)

    async def run(made: Trial) -> None:
        stopping = asyncio.create_task(stop(made.process))
        assert await made.texts() == undisturbed
        await stopping
        counted = httpx.get(f"{made.url}/metrics").text
        assert 'emf_worker_losses_total{how="hung"}' in counted
        assert 'emf_worker_losses_total{how="killed"}' not in counted
        assert pauses(made.url)["moves"] >= 1

    with trial(tiny_artifact, 3) as made:
        asyncio.run(run(made))


def test_workers_end_with_their_server_and_not_by_signals_for_it(tiny_artifact: Path) -> None:
    async def ended(workers: list[int]) -> None:
        async with asyncio.timeout(60.0):
            while any(Path(f"/proc/{pid}").exists() for pid in workers):
                await asyncio.sleep(0.02)

    with serving(tiny_artifact, *FLAGS, "--workers", "2") as (_, process):
        workers = children(process.pid)
        assert len(workers) == 2
        for pid, number in itertools.product(workers, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
            os.kill(pid, number)
        assert children(process.pid) == workers
        process.send_signal(signal.SIGHUP)
        asyncio.run(ended(workers))
        workers = children(process.pid)
        assert len(workers) == 2
        process.kill()
        asyncio.run(ended(workers))
