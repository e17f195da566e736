"""Realtime clients that send nonsense, vanish, come without a key or when the server ends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from emf.serve.access.keys import Account, Keys
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.openai.realtime import COMPLETED, DELTA, base64_of
from tests.signals import speech_like

PATH = "/v1/realtime?intent=transcription"
AUDIO = (speech_like(2.0, seed=5, sample_rate=24_000) * 32767).astype(np.int16)
APPEND = json.dumps({"type": "input_audio_buffer.append", "audio": base64_of(AUDIO.tobytes())})
COMMIT = '{"type":"input_audio_buffer.commit"}'
MANUAL = '{"type":"session.update","session":{"type":"transcription","audio":{"input":{"turn_detection":null}}}}'


async def hear(socket: ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(SECONDS):
        while True:
            event: dict[str, Any] = json.loads(await socket.recv())
            if event["type"] == kind:
                return event


def update(**audio_input: Any) -> str:
    return json.dumps({"type": "session.update", "event_id": "e1", "session": {"audio": {"input": audio_input}}})


BAD: dict[str, tuple[str | bytes, str, str | None]] = {
    "no JSON": ("hello", "invalid_event", None),
    "empty": ("", "invalid_event", None),
    "lone surrogate": ('{"type":"\\ud800"}', "invalid_event", None),
    "no object": ("[1]", "invalid_event", None),
    "no type": ('{"event_id":"e1"}', "invalid_event", None),
    "deep": ("[" * 100_000, "invalid_event", None),
    "deep within": ('{"type":"input_audio_buffer.commit","x":' + "[" * 100_000, "invalid_event", None),
    "binary": (AUDIO.tobytes(), "invalid_event", None),
    "unknown type": ('{"type":"response.create","event_id":"e1"}', "invalid_value", "type"),
    "no base64": ('{"type":"input_audio_buffer.append","audio":"!!!","event_id":"e1"}', "invalid_value", "audio"),
    "half base64": ('{"type":"input_audio_buffer.append","audio":"abc","event_id":"e1"}', "invalid_value", "audio"),
    "number for audio": ('{"type":"input_audio_buffer.append","audio":7,"event_id":"e1"}', "invalid_value", "audio"),
    "no audio": ('{"type":"input_audio_buffer.append","event_id":"e1"}', "invalid_value", None),
    "too much": (
        json.dumps({"type": "input_audio_buffer.append", "event_id": "e1", "audio": "A" * (15 * 2**20 + 4)}),
        "string_above_max_length",
        "audio",
    ),
    "rate": (update(format={"type": "audio/pcm", "rate": 7}), "invalid_value", "session.audio.input.format.rate"),
    "format": (update(format={"type": "audio/opus"}), "invalid_value", "session.audio.input.format.type"),
    "threshold": (
        update(turn_detection={"type": "server_vad", "threshold": 7}),
        "invalid_value",
        "session.audio.input.turn_detection.threshold",
    ),
    "silence": (
        update(turn_detection={"type": "server_vad", "silence_duration_ms": -1}),
        "invalid_value",
        "session.audio.input.turn_detection.silence_duration_ms",
    ),
    "keywords": (
        update(transcription={"keywords": "word"}),
        "invalid_value",
        "session.audio.input.transcription.keywords",
    ),
    "kind of session": (
        '{"type":"session.update","event_id":"e1","session":{"type":"realtime"}}',
        "invalid_value",
        "session.type",
    ),
}


def test_nonsense_is_an_error_and_the_session_goes_on(server: LiveServer) -> None:
    async def run() -> str:
        async with connect(server.url(PATH), max_size=None) as socket:
            await socket.send(MANUAL)
            for name, (bad, code, param) in BAD.items():
                await socket.send(bad)
                error = (await hear(socket, "error"))["error"]
                assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error"), name
                assert error["event_id"] == ("e1" if '"e1"' in str(bad) and name != "no type" else None), name
            await socket.send(APPEND)
            await socket.send(COMMIT)
            text: str = (await hear(socket, COMPLETED))["transcript"]
            return text

    assert asyncio.run(run()) == server.recognizer.transcribe(AUDIO, 24_000).text


def test_what_openai_knows_and_does_not_need_is_ignored(server: LiveServer) -> None:
    """Unknown fields, odd bytes, an append of nothing."""

    async def run() -> str:
        async with connect(server.url(PATH)) as socket:
            await socket.send(MANUAL.replace('"turn_detection"', '"unknown":[1],"turn_detection"'))
            await socket.send('{"type":"input_audio_buffer.append","audio":"","x":1}')
            data = AUDIO.tobytes()
            for piece in (data[:3_333], data[3_333:]):
                await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": base64_of(piece)}))
            await socket.send(COMMIT)
            text: str = (await hear(socket, COMPLETED))["transcript"]
            return text

    assert asyncio.run(run()) == server.recognizer.transcribe(AUDIO, 24_000).text


def test_much_audio_at_once(server: LiveServer) -> None:
    """15 MiB are taken, though they take a while; a message that is larger closes the connection with 1009."""

    async def run() -> int | None:
        async with connect(server.url(PATH), max_size=None) as socket:
            await socket.send(MANUAL)
            longest = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * (15 * 2**20)})
            await socket.send(longest)
            await socket.send(MANUAL)
            await hear(socket, "session.updated")
            await hear(socket, "session.updated")
        async with connect(server.url(PATH), max_size=None) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.send("A" * (25 * 2**20))
                while True:
                    await socket.recv()
            return socket.protocol.close_code

    assert asyncio.run(run()) == 1009


async def settled(server: LiveServer) -> None:
    async with asyncio.timeout(SECONDS):
        while server.service.sessions or server.service.gate.places.taken or server.engine.metrics().streams:
            await asyncio.sleep(0.02)


def test_whoever_vanishes_leaves_nothing(server: LiveServer) -> None:
    async def vanish(after: int) -> None:
        socket = await connect(server.url(PATH))
        for message in [MANUAL, APPEND, COMMIT, "nonsense"][:after]:
            await socket.send(message)
        socket.transport.abort()

    async def run() -> None:
        for _ in range(5):
            await asyncio.gather(*(vanish(after) for after in range(5)))
            await settled(server)

    asyncio.run(run())


def test_who_is_let_in(tiny_artifact: Path) -> None:
    good, bad = "good-key-0123456789", "wrong-key-0123456789"

    async def run(server: LiveServer) -> None:
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.url(PATH), additional_headers={"Authorization": f"Bearer {bad}"})
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"
        offered: Any = ["realtime", f"openai-insecure-api-key.{good}", "openai-beta.realtime-v1"]
        async with connect(server.url(PATH), subprotocols=offered) as first:
            assert first.subprotocol == "realtime"
            assert json.loads(await first.recv())["type"] == "transcription_session.created"
            async with connect(server.url(PATH), additional_headers={"Authorization": f"Bearer {good}"}) as second:
                assert json.loads(await second.recv())["error"]["code"] == "rate_limit_exceeded"
                await second.wait_closed()
                assert second.protocol.close_code == 1008

    with live_server(tiny_artifact, keys=Keys([(good, Account("good", 1))])) as server:
        asyncio.run(run(server))


def test_a_full_server_refuses_before_the_upgrade(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> None:
        async with connect(server.url(PATH)) as socket:
            await socket.recv()
            with pytest.raises(InvalidStatus) as refused:
                await connect(server.url(PATH))
            response = refused.value.response
            assert response.status_code == 503
            assert int(response.headers["Retry-After"]) > 0
            assert json.loads(response.body)["error"]["type"] == "server_error"

    with live_server(tiny_artifact, max_streams=1) as server:
        asyncio.run(run(server))


def test_sessions_expire(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> None:
        async with connect(server.url(PATH)) as socket:
            await socket.send(MANUAL)
            await socket.send(APPEND)
            completed = await hear(socket, COMPLETED)
            assert completed["transcript"] == server.recognizer.transcribe(AUDIO, 24_000).text
            assert (await hear(socket, "error"))["error"]["code"] == "session_expired"
            await socket.wait_closed()
            assert socket.protocol.close_code == 1008

    with live_server(tiny_artifact, max_session=1.5) as server:
        asyncio.run(run(server))


def test_a_silent_client_is_not_idle_while_it_answers_pings(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> None:
        async with connect(server.url(PATH)) as socket:
            await socket.send(MANUAL)
            await socket.send(APPEND)
            await hear(socket, "session.updated")
            await asyncio.sleep(2.5)
            async with asyncio.timeout(SECONDS):
                while server.service.gate.places.taken:
                    await asyncio.sleep(0.02)
            await socket.send(COMMIT)
            assert (await hear(socket, COMPLETED))["transcript"] == server.recognizer.transcribe(AUDIO, 24_000).text

    with live_server(tiny_artifact, idle_timeout=1.0, park_after=0.2) as server:
        asyncio.run(run(server))


@pytest.mark.usefixtures("winding_up")
def test_the_text_is_complete_when_the_server_ends(tiny_artifact: Path) -> None:
    """And no `error` comes, which clients take for permanent: close code 1012 lets them connect again."""

    async def run(server: LiveServer) -> None:
        async with connect(server.url(PATH)) as socket:
            await socket.send(MANUAL)
            await socket.send(APPEND)
            await hear(socket, DELTA)
            server.stop()
            kinds = []
            with pytest.raises(ConnectionClosed):
                while True:
                    event = json.loads(await socket.recv())
                    kinds.append(event["type"])
                    if event["type"] == COMPLETED:
                        assert event["transcript"] == server.recognizer.transcribe(AUDIO, 24_000).text
            assert COMPLETED in kinds
            assert "error" not in kinds
            assert socket.protocol.close_code == 1012

    with live_server(tiny_artifact, drain=SECONDS) as server:
        asyncio.run(run(server))
