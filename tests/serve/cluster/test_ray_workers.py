"""Workers on a Ray cluster: who may connect, what is said without Ray, and a node that is lost under load."""

import asyncio
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from emf.runtime.errors import UsageError
from emf.serve.cluster.reception import Reception
from emf.serve.failover.elastic_pool import Elasticity
from emf.serve.pools import number_of_actors
from emf.serve.workers.frames import FrameSocket
from tests.entry_points import ROOT, run


def test_who_shows_the_token_is_received_and_nobody_else() -> None:
    async def trial() -> None:
        reception = Reception()
        await reception.open("127.0.0.1")
        token, arrival = reception.expect()
        for shown in (bytes(32), b"", bytes(10_000), token[:-1]):
            stranger = await FrameSocket.to("127.0.0.1", reception.port)
            stranger.send(shown)
            assert await stranger.receive() is None and not arrival.done()
            stranger.close()
        worker = await FrameSocket.to("127.0.0.1", reception.port)
        worker.send(token)
        here = await arrival
        here.send(b"hello")
        assert await worker.receive() == b"hello"
        again = await FrameSocket.to("127.0.0.1", reception.port)
        again.send(token)
        assert await again.receive() is None
        reception.close()
        for frames in (here, worker, again):
            frames.close()
        await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(trial(), 60))


@pytest.mark.parametrize(("text", "least", "most"), [("4", 4, 4), ("2-8", 2, 8), ("1-1", 1, 1)])
def test_numbers(text: str, least: int, most: int) -> None:
    assert number_of_actors(text) == Elasticity(least, most)


@pytest.mark.parametrize("text", ["", "0", "auto", "3-2", "1-", "-1", "9999", "1-2-3"])
def test_wrong_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="expected --workers ray:N"):
        number_of_actors(text)


def test_without_ray_a_line_says_what_to_install(tiny_artifact: Path) -> None:
    done = run("emf-serve", tiny_artifact, "--workers", "ray:2", prelude="sys.modules['ray'] = None")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), done.stderr
    assert b"pip install 'emformer-deploy[ray]'" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray")
def test_a_node_is_lost_under_load(demo_artifact: Path) -> None:
    audio = ROOT / "export" / "demo" / "recordings" / "date.flac"
    command = [sys.executable, "tools/try_ray_workers.py", str(demo_artifact), "--audio", str(audio)]
    done = subprocess.run(
        [*command, "--seconds", "15", "--streams", "6"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
