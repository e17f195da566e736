"""Processes that are killed and stopped under load, in every protocol: the short form of `tools/chaos.py`."""

import asyncio
import itertools
import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import Popen

import httpx

from emf.runtime.arrays import FloatArray
from emf.serve.load.call import Server, call
from emf.serve.load.clients import CLIENTS, address
from tests.serve.commands.test_serve import serving
from tests.signals import SAMPLE_RATE, speech_like

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))

from chaos import children

FLAGS = ("--workers", "2", "--worker-timeout", "2", "--max-streams", "40", "--silence-after-speech", "0.4")
SECONDS = 5.0
EACH = 2


def recordings(protocol: str) -> list[FloatArray]:
    rate = CLIENTS[protocol]().sample_rate
    return [speech_like(SECONDS * rate / SAMPLE_RATE, seed=seed) for seed in range(EACH)]


async def texts(url: str) -> dict[str, list[str]]:
    """What clients of every protocol hear that speak at once."""

    async def talk(protocol: str) -> list[str]:
        client = CLIENTS[protocol]
        server = Server(address(url, client().path), {}, client)
        calls = (call(server, number, samples) for number, samples in enumerate(recordings(protocol)))
        return [one.text for one in await asyncio.gather(*calls)]

    found = await asyncio.gather(*(talk(protocol) for protocol in CLIENTS))
    return dict(zip(CLIENTS, found, strict=True))


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


def test_workers_end_under_load_and_no_client_notices(tiny_artifact: Path) -> None:
    async def run(url: str, process: Popen[bytes]) -> None:
        undisturbed = await texts(url)
        disturbing = asyncio.create_task(disturb(process))
        disturbed = await texts(url)
        assert disturbed == undisturbed
        assert all(all(said) for said in undisturbed.values())
        assert {"SIGKILL", "SIGSTOP"} <= set(await disturbing)
        counted = httpx.get(f"{url}/metrics").text
        assert 'emf_worker_losses_total{how="killed"}' in counted
        assert 'emf_move_pause_seconds_bucket{le="0.05",why="lost"}' in counted

    with serving(tiny_artifact, *FLAGS) as (url, process):
        asyncio.run(run(url, process))


def test_workers_end_with_their_server_and_not_by_signals_for_it(tiny_artifact: Path) -> None:
    async def ended(workers: list[int]) -> None:
        async with asyncio.timeout(60.0):
            while any(Path(f"/proc/{pid}").exists() for pid in workers):
                await asyncio.sleep(0.02)

    with serving(tiny_artifact, *FLAGS) as (_, process):
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
