"""A server that dies: the client goes on at another one that has the same store."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from emf.runtime import EndpointRules
from emf.serve.client import Transcriber
from emf.serve.live_text import LiveText
from tests.serve.commands.test_serve import serving
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.native.talking import talking
from tests.signals import SAMPLE_RATE, speech_like

AUDIO = (speech_like(8.0, seed=5) * 32767).astype(np.int16)
STEP = SAMPLE_RATE // 10
FLAGS = ("--workers", "0", "--num-threads", "1", "--snapshot-every", "1", "--max-length", "1.5")
RULES = EndpointRules(max_length=1.5)


def is_steady(texts: list[LiveText]) -> bool:
    """Whether segments only go forward, each ends once, and stable text is never taken back."""
    stable: dict[int, str] = {}
    for text in texts:
        if text.segment < max(stable, default=0) or not text.stable.startswith(stable.get(text.segment, "")):
            return False
        stable[text.segment] = text.stable
    finals = [text.segment for text in texts if text.is_final]
    return len(finals) == len(set(finals))


def kept(folder: Path) -> bool:
    """Whether a store holds a record."""
    with suppress(FileNotFoundError):  # it is forgotten just now
        return any(path.stat().st_size for path in folder.iterdir())
    return True


async def speak(urls: list[str], at_half: object) -> tuple[str, list[LiveText], int]:
    async with Transcriber(urls, sample_rate=SAMPLE_RATE, patience=SECONDS) as transcriber:

        async def hear() -> list[LiveText]:
            return [text async for text in transcriber]

        hearing = asyncio.create_task(hear())
        for at in range(0, len(AUDIO), STEP):
            if at == len(AUDIO) // 2 // STEP * STEP:
                assert callable(at_half)
                at_half()
            await transcriber.send(AUDIO[at : at + STEP])
            await asyncio.sleep(0.03)
        return await transcriber.finish(), await hearing, transcriber.reconnects


def test_the_text_goes_on_at_another_server(tiny_artifact: Path, tmp_path: Path) -> None:
    store = ("--snapshot-store", tmp_path)
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(tiny_artifact, *FLAGS, *store)) for _ in range(2)]
        first, second = (url for url, _ in servers)
        alone, *_ = asyncio.run(speak([second], lambda: None))
        text, texts, reconnects = asyncio.run(speak([first, second], servers[0][1].kill))
    assert (text, reconnects) == (alone, 1)
    assert is_steady(texts)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} <= {0}


@pytest.fixture
def two_servers(tiny_artifact: Path, tmp_path: Path) -> Iterator[tuple[LiveServer, LiveServer]]:
    options: dict[str, Any] = {"snapshot_store": str(tmp_path), "snapshot_every": 0.5, "endpoint": RULES, "drain": 0.6}
    with live_server(tiny_artifact, **options) as first, live_server(tiny_artifact, **options) as second:
        yield first, second


def test_who_lost_the_session_to_another_server_ends_it(
    two_servers: tuple[LiveServer, LiveServer], tmp_path: Path
) -> None:
    first, second = two_servers

    async def run() -> tuple[str, str, str]:
        async with talking(first, sample_rate=SAMPLE_RATE) as old:
            token = (await old.hear("started"))["resume"]
            await old.socket.send(AUDIO[: 4 * SAMPLE_RATE].tobytes())
            await old.hear("kept")
            heard = {0: max((final["segment"] for final in old.finals()), default=-1)}
            async with talking(second, resume=token, have=len(old.finals()), heard=heard) as new:
                begin = (await new.hear("started"))["audio_from"]
                with suppress(ConnectionClosed):  # it may have found out
                    await old.socket.send(AUDIO[4 * SAMPLE_RATE : 5 * SAMPLE_RATE].tobytes())
                code = (await old.hear("error"))["code"]
                await new.socket.send(AUDIO[begin:].tobytes())
                await new.say("finish")
                text: str = (await new.hear("done"))["text"]
            async with asyncio.timeout(SECONDS):
                while kept(tmp_path):
                    await asyncio.sleep(0.02)
            async with talking(second, resume=token) as late:
                return code, text, (await late.hear("error"))["code"]

    expected, *_ = asyncio.run(speak([second.url()], lambda: None))
    assert asyncio.run(run()) == ("restarting", expected, "unknown_token")


def test_a_server_that_ends_leaves_its_sessions_to_the_other(two_servers: tuple[LiveServer, LiveServer]) -> None:
    first, second = two_servers
    alone, *_ = asyncio.run(speak([second.url()], lambda: None))
    text, texts, reconnects = asyncio.run(speak([first.url(), second.url()], first.stop))
    assert (text, reconnects) == (alone, 1)
    assert is_steady(texts)
