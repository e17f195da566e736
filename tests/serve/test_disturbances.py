"""Clients that vanish, dawdle or send garbage: nobody else notices, and what they held comes back."""

import asyncio
import random
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import connect

from emf.serve import server as server_module
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.native.talking import Talk, talking
from tests.signals import SAMPLE_RATE, speech_like

AUDIO = (speech_like(2.0, seed=5) * 32767).astype(np.int16)
BYTES = AUDIO.tobytes()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():
            await asyncio.sleep(0.02)


def is_empty(server: LiveServer) -> bool:
    return not (server.service.gate.places.taken or server.engine.metrics().streams or server.service.sessions)


async def vanish(server: LiveServer, moments: random.Random) -> None:
    """A client that is cut off somewhere between its connection and its last word."""
    async with connect(server.url(), compression=None, max_size=None) as talk:
        last = moments.randrange(5)
        if last > 0:
            await talk.send('{"type":"start"}')
        if last > 1:
            await talk.recv()
        if last > 2:
            await talk.send(BYTES[: moments.randrange(len(BYTES))])
        if last > 3:
            await talk.send('{"type":"finish"}')
        await asyncio.sleep(moments.uniform(0.0, 0.05))
        talk.transport.abort()


def test_connections_cut_at_random_moments_leave_nothing_behind(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> str:
        moments = random.Random(5)
        for _ in range(3):
            await vanish(server, moments)
        await until(lambda: is_empty(server))
        before = len(list(Path("/proc/self/fd").iterdir()))
        async with talking(server, sample_rate=SAMPLE_RATE) as healthy:
            await healthy.socket.send(BYTES[:30_000])
            for _ in range(10):
                await asyncio.gather(*(vanish(server, moments) for _ in range(6)))
                await until(lambda: server.service.gate.places.taken <= 1)
            await healthy.socket.send(BYTES[30_000:])
            await healthy.say("finish")
            text: str = (await healthy.hear("done"))["text"]
        await until(lambda: is_empty(server))
        await until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)
        return text

    with live_server(tiny_artifact, resume_window=0.05) as server:
        assert asyncio.run(run(server)) == server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text


def test_a_stream_that_fails_ends_alone(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(server: LiveServer) -> tuple[str, int | None, str]:
        async with (
            talking(server, sample_rate=SAMPLE_RATE) as healthy,
            talking(server, sample_rate=8000) as doomed,
        ):
            decode = server.recognizer.decode_streams

            def fail(streams: list) -> None:  # type: ignore[type-arg]
                if any(stream.state.resampler.source_rate == 8000 for stream in streams):
                    raise ValueError("a fault of this test")
                decode(streams)

            monkeypatch.setattr(server.recognizer, "decode_streams", fail)
            await healthy.socket.send(BYTES)
            await doomed.socket.send(BYTES)
            code = (await doomed.hear("error"))["code"]
            await doomed.socket.wait_closed()
            await healthy.say("finish")
            return code, doomed.socket.close_code, (await healthy.hear("done"))["text"]

    with live_server(tiny_artifact) as server:
        expected = server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text
        assert asyncio.run(run(server)) == ("internal", 1011, expected)


def answer(server: LiveServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as peer:
        peer.sendall(request)
        received = b""
        while data := peer.recv(4096):
            received += data
        return received


def test_garbage_before_the_upgrade(server: LiveServer) -> None:
    admitted = server.engine.metrics().admitted
    assert answer(server, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert answer(server, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000).startswith(b"HTTP/1.1 400")
    upgrade = b"GET /emf/v1/stream HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    assert answer(server, upgrade).startswith(b"HTTP/1.1 400")
    assert server.engine.metrics().admitted == admitted


def test_a_request_that_never_ends_is_given_up(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_REQUEST_SECONDS", 0.3)
    with live_server(tiny_artifact) as server:
        assert answer(server, b"GET /health/live HTTP/1.1\r\nX: ") == b""


def test_frames_that_are_none(server: LiveServer) -> None:
    async def run() -> int | None:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.hear("started")
            talk.socket.transport.write(b"\xff\xff\xff\xff not a frame")
            await talk.socket.wait_closed()
            return talk.socket.close_code

    assert asyncio.run(run()) == 1002


def test_a_session_is_as_long_as_is_allowed(tiny_artifact: Path) -> None:
    async def speak(talk: Talk) -> None:
        for _ in range(200):
            await talk.socket.send(BYTES[:3200])
            await asyncio.sleep(0.02)

    async def run(server: LiveServer) -> tuple[str, int]:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            speaking = asyncio.create_task(speak(talk))
            code = (await talk.hear("error"))["code"]
            speaking.cancel()
            return code, len(talk.finals())

    with live_server(tiny_artifact, max_session=1.0) as server:
        assert asyncio.run(run(server)) == ("too_long", 1)
