"""What holds for every protocol: the library's text in all forms of audio, long messages, clients that leave."""

import asyncio
import base64
import json
import struct
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient

from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.recordings import recording
from tests.signals import SAMPLE_RATE, speech_like

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from client_speech import Form, speech_of
from real_clients import CLIENTS, Server

pytestmark = pytest.mark.filterwarnings("ignore:.*websockets.*:DeprecationWarning")  # of deepgram-sdk
AT_ONCE = 6
SAID = recording("name")[: round(3.3 * SAMPLE_RATE)].astype(np.float32) / np.float32(32768)
SHORT = (speech_like(2.0, seed=5) * 32767).astype(np.int16)


@pytest.mark.parametrize("name", CLIENTS)
def test_the_text_is_the_librarys_in_every_form(demo_server: LiveServer, name: str) -> None:
    """Real clients, every encoding and rate that the protocol takes; `tools/compare_clients.py` does so for more."""
    client, ports = CLIENTS[name], demo_server.ports
    server = Server(demo_server.port, ports["vosk"], ports["sherpa"], ports["wyoming"])

    async def run() -> list[tuple[Form, str, str]]:
        waiting = asyncio.Semaphore(AT_ONCE)

        async def one(form: Form) -> tuple[Form, str, str]:
            speech = speech_of(SAID, SAMPLE_RATE, form, message_seconds=0.0637)
            async with waiting:
                text = await client.transcribe(server, speech)
            return form, text, demo_server.recognizer.transcribe(speech.heard, form.sample_rate).text

        forms = client.forms if client.is_live else client.forms[::2]  # libsndfile reads files of all
        return await asyncio.gather(*map(one, forms))

    found = asyncio.run(run())
    assert [case for case in found if case[1] != case[2]] == []
    assert all(text for _, text, _ in found)


def test_the_text_is_the_librarys_at_the_pace_of_speech(demo_server: LiveServer) -> None:
    """All live protocols at once."""
    ports = demo_server.ports
    server = Server(demo_server.port, ports["vosk"], ports["sherpa"], ports["wyoming"])
    live = {name: client for name, client in CLIENTS.items() if client.is_live}

    async def run() -> dict[str, tuple[str, str]]:
        said = {n: speech_of(SAID, SAMPLE_RATE, client.forms[0], True, 0.1) for n, client in live.items()}
        texts = await asyncio.gather(*(client.transcribe(server, said[n]) for n, client in live.items()))
        rates = {n: (speech.heard, speech.form.sample_rate) for n, speech in said.items()}
        expected = [demo_server.recognizer.transcribe(*rates[n]).text for n in live]
        return dict(zip(live, zip(texts, expected, strict=True), strict=True))

    found = asyncio.run(run())
    assert {name: texts for name, texts in found.items() if texts[0] != texts[1]} == {}


Messages = Callable[[bytes], list[str | bytes]]


def _append(data: bytes) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()})


_LISTEN = "/v1/listen?encoding=linear16&sample_rate=16000"
_COMMIT = '{"type":"input_audio_buffer.commit"}'
_INPUT = '{"format":{"type":"audio/pcm","rate":16000},"turn_detection":null}'
_MANUAL = f'{{"type":"session.update","session":{{"type":"transcription","audio":{{"input":{_INPUT}}}}}}}'
SENT: dict[str, tuple[str, Messages]] = {
    "emf": ("/emf/v1/stream", lambda data: ['{"type":"start"}', data, '{"type":"finish"}']),
    "openai": ("/v1/realtime", lambda data: [_MANUAL, _append(data), _COMMIT]),
    "deepgram": (_LISTEN + "&endpointing=false", lambda data: [data, '{"type":"CloseStream"}']),
    "vosk": ("/vosk", lambda data: ['{"config":{"sample_rate":16000}}', data, '{"eof" : 1}']),
    "sherpa": ("/sherpa", lambda data: [(np.frombuffer(data, "<i2").astype("<f4") / 32768).tobytes(), "Done"]),
}
"""Path, and what a client sends for 16-bit audio at 16 kHz, the end included."""
ENDS = ('"done"', ".completed", '"Metadata"', "Done!")


async def until_the_end(socket: ClientConnection, name: str) -> AsyncIterator[str | bytes]:
    """Messages up to the last of a protocol."""
    async for message in socket:
        yield message
        if any(end in str(message) for end in ENDS) or (name == "vosk" and '"text"' in str(message)):
            return


def text_of(message: str) -> str:
    """What a message says for good."""
    said = json.loads(message)
    if said.get("type") == "Results":
        return str(said["channel"]["alternatives"][0]["transcript"]) if said["is_final"] else ""
    return str(said.get("transcript") or said.get("text") or "")


def wav_header(samples: int) -> bytes:
    """Of 16-bit audio at 16 kHz."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + 2 * samples) + b"WAVE" + form + struct.pack("<4sI", b"data", 2 * samples)


async def settled(server: LiveServer) -> None:
    async with asyncio.timeout(SECONDS):
        while server.service.sessions or server.service.gate.places.taken or server.engine.metrics().streams:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", SENT)
def test_a_message_of_four_mebibytes(server: LiveServer, name: str) -> None:
    """More than a minute of audio at once: all of it is decoded, and what the server says is short."""
    path, messages = SENT[name]

    async def run() -> list[str]:
        async with connect(server.url(path), max_size=None) as socket:
            for message in messages(bytes(4 * 2**20 // (2 if name == "sherpa" else 1))):
                await socket.send(message)
            async with asyncio.timeout(60):
                return [str(message) async for message in until_the_end(socket, name)]

    heard = asyncio.run(run())
    assert heard
    assert all(len(message) < 64 * 2**10 for message in heard)
    asyncio.run(settled(server))


@pytest.mark.parametrize("name", SENT)
def test_who_leaves_right_behind_the_end_leaves_nothing(server: LiveServer, name: str) -> None:
    """The end marker and the close frame at once, the answer unread: the server neither waits nor keeps anything."""
    path, messages = SENT[name]

    async def run() -> None:
        for _ in range(3):
            socket = await connect(server.url(path))
            for message in messages(SHORT.tobytes()):
                await socket.send(message)
            await socket.close()
        await settled(server)

    asyncio.run(run())


def test_who_leaves_wyoming_right_behind_the_end_leaves_nothing(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> None:
        for _ in range(3):
            async with AsyncTcpClient("127.0.0.1", server.ports["wyoming"]) as talk:
                await talk.write_event(AudioStart(SAMPLE_RATE, 2, 1).event())
                await talk.write_event(AudioChunk(SAMPLE_RATE, 2, 1, SHORT.tobytes()).event())
                await talk.write_event(AudioStop().event())
        await settled(server)

    with live_server(tiny_artifact, wyoming_port=0) as server:
        asyncio.run(run(server))


NO_AUDIO: dict[str, Any] = {"text where audio belongs": "one two three", "half a message": '{"type":'}


@pytest.mark.parametrize("name", SENT)
@pytest.mark.parametrize("case", NO_AUDIO)
def test_text_where_audio_belongs_ends_nobody_elses_stream(server: LiveServer, name: str, case: str) -> None:
    """Each protocol complains or closes as it does; a stream beside it goes on, and nothing is left."""
    path, messages = SENT[name]

    async def run() -> str:
        *begin, end = messages(SHORT.tobytes())
        async with connect(server.url(), max_size=None) as healthy:
            await healthy.send('{"type":"start"}')
            await healthy.send(SHORT.tobytes())
            async with connect(server.url(path), max_size=None) as socket:
                for message in (*begin[:-1], NO_AUDIO[case], begin[-1], NO_AUDIO[case], end):
                    await socket.send(message)
                await socket.close()
            await healthy.send('{"type":"finish"}')
            async with asyncio.timeout(SECONDS):
                async for message in healthy:
                    if '"done"' in message:
                        return str(json.loads(message)["text"])
        return "no end"

    assert asyncio.run(run()) == server.recognizer.transcribe(SHORT, SAMPLE_RATE).text
    asyncio.run(settled(server))


HEADER = wav_header(len(SHORT))


@pytest.mark.parametrize("name", [name for name in SENT if name != "sherpa"])
def test_a_header_where_samples_belong_harms_nothing(server: LiveServer, name: str) -> None:
    """Deepgram's and Vosk's clients send one, and it is no audio; where it may be audio, it is a click.

    sherpa-onnx's audio is float: there, a header is mostly no number, and refused as such.
    """
    path, messages = SENT[name]

    async def run() -> str:
        async with connect(server.url(path), max_size=None) as socket:
            for message in messages(HEADER + SHORT.tobytes()):
                await socket.send(message)
            async with asyncio.timeout(SECONDS):
                heard = [str(message) async for message in until_the_end(socket, name)]
        return " ".join(filter(None, map(text_of, heard)))

    samples = np.concatenate([np.frombuffer(HEADER, np.int16), SHORT]) if name in ("emf", "openai") else SHORT
    found, expected = asyncio.run(run()), server.recognizer.transcribe(samples, SAMPLE_RATE).text
    assert found == expected != ""
