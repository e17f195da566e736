"""Clients that vanish, dawdle or send garbage: nobody else notices, and what they held comes back."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import connect

from emf.serve import http_server
from emf.serve import server as server_module
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.native.talking import Talk, talking
from tests.signals import SAMPLE_RATE, speech_like

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from client_bytes import client_bytes
from cut_connections import Cutter

AUDIO = (speech_like(2.0, seed=5) * 32767).astype(np.int16)
BYTES = AUDIO.tobytes()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():
            await asyncio.sleep(0.02)


def is_empty(server: LiveServer) -> bool:
    return not (server.service.gate.places.taken or server.engine.metrics().streams or server.service.sessions)


def test_connections_cut_at_random_moments_leave_nothing_behind(
    tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every protocol, by resets, closes and silence; `python tools/cut_connections.py` cuts a thousand."""

    async def run(server: LiveServer, cutter: Cutter) -> str:
        await cutter.cut(12, silent_share=0.0)
        await until(lambda: is_empty(server))
        before = len(list(Path("/proc/self/fd").iterdir()))
        async with talking(server, sample_rate=SAMPLE_RATE) as healthy:
            await healthy.socket.send(BYTES[:30_000])
            cutting = asyncio.create_task(cutter.cut(72, silent_share=0.2))
            while not cutting.done():
                await healthy.say("keep_alive")
                await asyncio.sleep(0.1)
            await cutting
            await healthy.socket.send(BYTES[30_000:])
            await healthy.say("finish")
            text: str = (await healthy.hear("done"))["text"]
        await until(lambda: is_empty(server))
        silent = len(cutter.silent)
        assert silent > 5
        await until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before + silent)
        return text

    for name, seconds in {"_PING_SECONDS": 2.0, "_REQUEST_SECONDS": 1.0, "_GOODBYE_SECONDS": 1.0}.items():
        monkeypatch.setattr(http_server, name, seconds)
    with live_server(tiny_artifact, wyoming_port=0, resume_window=0.05, idle_timeout=4.0, max_streams=32) as server:
        cutter = Cutter(client_bytes(server.addresses, speech_like(2.0, seed=5)), seed=5)
        try:
            assert asyncio.run(run(server, cutter)) == server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text
        finally:
            cutter.close()


def test_a_client_that_reads_nothing_is_given_up(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was to be sent fills the sockets; uvicorn alone waits until it is taken."""
    mark = json.dumps({"type": "mark", "id": "x" * 100_000})

    async def run(server: LiveServer) -> int:
        async with connect(
            server.url(), max_queue=1, compression=None, ping_interval=None, close_timeout=0.1
        ) as socket:
            await socket.send('{"type":"start"}')
            for _ in range(200):
                await socket.send(mark)
            socket.transport.pause_reading()
            await until(lambda: not server.service.sessions)
            return server.service.gate.places.taken

    for name in ("_PING_SECONDS", "_GOODBYE_SECONDS"):
        monkeypatch.setattr(http_server, name, 0.5)
    with live_server(tiny_artifact, resume_window=0.05) as server:
        assert asyncio.run(run(server)) == 0


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system gives up no client that takes nothing")
def test_a_client_that_takes_no_answers_is_given_up(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_UNSENT_SECONDS", 1.0)
    requests = (b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n") * 1000
    with live_server(tiny_artifact) as server, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", server.port))
        peer.settimeout(0.5)
        with pytest.raises(TimeoutError):  # it is open, and full
            while True:
                peer.sendall(requests)
        asyncio.run(until(lambda: not server.server.connections.open))


def test_a_stream_that_fails_ends_alone(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(server: LiveServer) -> tuple[str, int | None, str]:
        async with (
            talking(server, sample_rate=SAMPLE_RATE) as healthy,
            talking(server, sample_rate=8000) as doomed,
        ):
            decode = server.recognizer.decode_streams

            def fail(streams: list, alone: bool = False) -> None:  # type: ignore[type-arg]
                if any(stream.state.resampler.source_rate == 8000 for stream in streams):
                    raise ValueError("a fault of this test")
                decode(streams, alone)

            monkeypatch.setattr(server.recognizer, "decode_streams", fail)
            await healthy.socket.send(BYTES)
            await doomed.socket.send(BYTES)
            code = (await doomed.hear("error"))["code"]
            await doomed.socket.wait_closed()
            await healthy.say("finish")
            return code, doomed.socket.protocol.close_code, (await healthy.hear("done"))["text"]

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


REQUEST = b"GET /health/live HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize("requests_before", [0, 1, 3])
def test_a_request_that_never_ends_is_given_up(
    tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch, requests_before: int
) -> None:
    """Also where others came before it, and although its headers go on and on."""
    monkeypatch.setattr(http_server, "_REQUEST_SECONDS", 0.4)
    with live_server(tiny_artifact) as server, socket.create_connection(("127.0.0.1", server.port), SECONDS) as peer:
        for _ in range(requests_before):
            peer.sendall(REQUEST + b"\r\n")
            received = b""
            while b"live" not in received:
                received += peer.recv(4096)
        begin = time.monotonic()
        peer.sendall(REQUEST)
        with pytest.raises(ConnectionError):
            while time.monotonic() - begin < SECONDS:
                peer.sendall(b"X: y\r\n")
                time.sleep(0.05)
        assert not requests_before or time.monotonic() - begin > 0.3, "its time began with it"


def test_a_request_that_comes_slowly_is_served(server: LiveServer) -> None:
    """And so is one that comes with the one before."""
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as peer:
        peer.sendall(REQUEST + b"\r\n" + REQUEST)
        time.sleep(0.2)
        peer.sendall(b"\r\n")
        received = b""
        while received.count(b"HTTP/1.1 200") < 2 and (data := peer.recv(65_536)):
            received += data
        assert received.count(b"HTTP/1.1 200") == 2


def test_no_more_connections_than_are_allowed(tiny_artifact: Path) -> None:
    """Silent ones count, whatever the port; those over the limit are told, as far as their protocol can."""

    def connected(port: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), SECONDS)

    request = REQUEST + b"Connection: close\r\n\r\n"
    with live_server(tiny_artifact, wyoming_port=0, max_connections=3) as server:
        wyoming = server.ports["wyoming"]
        with connected(server.port), connected(wyoming), connected(server.port):
            asyncio.run(until(lambda: server.server.connections.open == 3))
            refused = answer(server, request)
            assert refused.startswith(b"HTTP/1.1 503")
            assert b"Retry-After: 2\r\n" in refused
            with connected(wyoming) as other:
                assert is_closed(other)
        asyncio.run(until(lambda: answer(server, request).startswith(b"HTTP/1.1 200")))


def is_closed(peer: socket.socket) -> bool:
    try:
        return peer.recv(1) == b""
    except ConnectionError:
        return True


def test_frames_that_are_none(server: LiveServer) -> None:
    async def run() -> int | None:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.hear("started")
            talk.socket.transport.write(b"\xff\xff\xff\xff not a frame")
            await talk.socket.wait_closed()
            return talk.socket.protocol.close_code

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
