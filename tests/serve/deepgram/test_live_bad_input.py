"""What a live connection answers to what makes no sense; whatever it is, the place comes back."""

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from emf.serve.access.keys import Account, Keys
from tests.serve.deepgram.talking import KEY, RATE, async_client, speak, talking
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.signals import speech_like

pytestmark = pytest.mark.filterwarnings("ignore:.*websockets.*:DeprecationWarning")
RAW = "encoding=linear16&sample_rate=16000&endpointing=false"
AUDIO = (speech_like(2.0, seed=5) * 32767).astype(np.int16)


@pytest.fixture(autouse=True)
def places_come_back(server: LiveServer) -> Iterator[None]:
    yield

    async def wait() -> None:
        async with asyncio.timeout(SECONDS):
            while server.service.gate.places.taken or server.service.sessions or _pipes():
                await asyncio.sleep(0.01)

    asyncio.run(wait())


def _pipes() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sound pipe"]


async def refusal(server: LiveServer, query: str, **options: Any) -> tuple[int, dict[str, str]]:
    with pytest.raises(InvalidStatus) as refused:
        await connect(server.url(f"/v1/listen?{query}"), **options)
    response = refused.value.response
    answer = json.loads(response.body or b"{}")
    assert answer["request_id"] == response.headers["dg-request-id"]
    assert response.headers["dg-error"]
    return response.status_code, answer


REFUSED = [
    "encoding=linear16",
    "encoding=linear16&sample_rate=fast",
    "encoding=linear16&sample_rate=5",
    "encoding=linear16&sample_rate=-16000",
    "encoding=linear16&sample_rate=99999999999999999999",
    "encoding=linear16&sample_rate=\uff11\uff16000",
    "encoding=amr-nb&sample_rate=8000",
    "encoding=%00&sample_rate=8000",
    f"{RAW}&channels=0",
    f"{RAW}&channels=17",
    f"{RAW}&channels=two",
    f"{RAW}&endpointing=soon",
    f"{RAW}&endpointing=-1",
    f"{RAW}&utterance_end_ms=0",
    f"{RAW}&interim_results=maybe",
    f"{RAW}&callback=http://example.org",
    f"{RAW}&redact=pci",
    f"{RAW}&keyterm={'x' * 2_000}",
]


@pytest.mark.parametrize("query", REFUSED)
def test_parameters_that_make_no_sense(server: LiveServer, query: str) -> None:
    status, answer = asyncio.run(refusal(server, query))
    assert (status, answer["err_code"]) == (400, "Bad Request")


def test_what_is_not_known_or_not_done_is_ignored(server: LiveServer) -> None:
    ignored = "punctuate=true&smart_format=true&numerals=true&filler_words=false&no_delay=true&profanity_filter=true"
    ignored += "&language=de&model=nova-2&version=latest&tag=a&tag=b&diarize=true&search=x&replace=a%3Ab&extra=k%3Av"
    ignored += "&mip_opt_out=true&dictation=true&redact=false&callback=&something=else&interim_results=True"

    async def run() -> None:
        async with connect(server.url(f"/v1/listen?{RAW}&{ignored}")) as socket:
            await socket.send('{"type":"CloseStream"}')
            assert '"Metadata"' in str(await socket.recv())

    asyncio.run(run())


def test_keys_origins_and_places_are_refused_in_deepgrams_form(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> None:
        good = {"Authorization": f"Token {KEY}"}
        status, answer = await refusal(server, RAW)
        assert (status, answer["err_code"], answer["err_msg"]) == (401, "INVALID_AUTH", "Invalid credentials.")
        assert (await refusal(server, "encoding=bad"))[0] == 401, "nobody learns of the rest without a key"
        assert (await refusal(server, RAW, additional_headers=good, origin="https://evil.example"))[0] == 403
        with pytest.raises(Exception, match="401"):
            async with async_client(server).listen.v1.connect(model="x", authorization="Token wrong"):
                pass
        async with talking(server, encoding="linear16", sample_rate=RATE):
            with pytest.raises(InvalidStatus) as refused:
                await connect(server.url(f"/v1/listen?{RAW}"), additional_headers=good)
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["Retry-After"]) > 0
            small = {"Authorization": "Token small-key-0123456789"}
            async with connect(server.url(f"/v1/listen?{RAW}"), additional_headers=small) as socket:
                await socket.wait_closed()
                assert socket.protocol.close_code == 1008
        status, _ = await refusal(server, f"{RAW}&channels=2&multichannel=true", additional_headers=good)
        assert status == 503

    small = Account("small", 1)
    small.streams = 1
    keys = Keys([(KEY, Account("good")), ("small-key-0123456789", small)])
    with live_server(tiny_artifact, keys=keys, max_streams=1) as server:
        asyncio.run(run(server))


async def closing(server: LiveServer, query: str, *sent: str | bytes) -> tuple[int | None, str | None, list[Any]]:
    """How the server closes a connection on which this was sent, and what it said before."""
    heard = []
    async with connect(server.url(f"/v1/listen?{query}"), max_size=None) as socket:
        try:
            for message in sent:
                await socket.send(message)
            async with asyncio.timeout(SECONDS):
                heard = [json.loads(message) async for message in socket]
        except ConnectionClosed:
            pass
        return socket.protocol.close_code, socket.protocol.close_reason, heard


def wav(rate: int = RATE, channels: int = 1) -> bytes:
    file = io.BytesIO()
    samples = np.repeat(AUDIO[:, None], channels, axis=1)
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


CLOSE = '{"type":"CloseStream"}'
BAD_AUDIO: dict[str, tuple[str, list[str | bytes]]] = {
    "raw audio without an encoding": ("", [AUDIO.tobytes()]),
    "WebM": ("", [b"\x1aE\xdf\xa3" + bytes(5_000), CLOSE]),
    "a few bytes": ("", [b"RIFF", CLOSE]),
    "a header alone": ("", [wav()[:30], CLOSE]),
    "a broken header": ("", [wav()[:12] + b"fmt \xff\xff\xff\xff" + bytes(100)]),
    "an impossible rate": ("", [wav(900)]),
    "an empty Ogg": ("", [b"OggS" + bytes(100), CLOSE]),
    "FLAC that is none": ("", [b"fLaC" + bytes(1_000), CLOSE]),
    "another rate than announced": (RAW, [wav(8_000)]),
    "other channels than announced": (RAW, [wav(RATE, 2)]),
    "floats that are none": (
        "encoding=linear32&sample_rate=16000",
        [np.full(1_000, np.nan, "<f4").tobytes(), CLOSE],
    ),
}


@pytest.mark.parametrize("case", BAD_AUDIO)
def test_audio_that_is_none(server: LiveServer, case: str) -> None:
    query, sent = BAD_AUDIO[case]
    code, reason, _ = asyncio.run(closing(server, query, *sent))
    assert code == 1008
    assert (reason or "").startswith("DATA-0000")


def test_a_header_cut_anywhere_and_odd_bytes_are_fine(server: LiveServer) -> None:
    expected = server.recognizer.transcribe(AUDIO, RATE).text
    assert (
        asyncio.run(speak(server, wav() + b"LIST\x04\0\0\0junk", step=7, endpointing="false")).text() == expected != ""
    )
    odd = asyncio.run(
        speak(server, AUDIO.tobytes() + b"\x01", step=333, encoding="linear16", sample_rate=RATE, endpointing="false")
    )
    assert odd.text() == expected


NO_MESSAGES = [
    "nonsense",
    "[1]",
    "{}",
    '{"type":"Stop"}',
    '{"type":1}',
    '{"type":"Configure","keyterms":1}',
    "\ufeff{}",
]


def test_bad_messages_are_told_and_harm_nothing(server: LiveServer) -> None:
    messages: list[str | bytes] = [
        AUDIO.tobytes()[:30_000],
        *NO_MESSAGES,
        "x" * 100_000,
        AUDIO.tobytes()[30_000:],
        CLOSE,
        "late",
        b"late",
    ]
    code, _, heard = asyncio.run(closing(server, RAW, *messages))
    errors = [m for m in heard if m["type"] == "Error"]
    assert [m["variant"] for m in errors] == ["SchemaError"] * (len(NO_MESSAGES) + 1)
    assert [m["message"] for m in errors][:-1] == NO_MESSAGES
    assert len(errors[-1]["message"]) <= 1_000
    texts = [m["channel"]["alternatives"][0]["transcript"] for m in heard if m["type"] == "Results"]
    assert " ".join(filter(None, texts)) == server.recognizer.transcribe(AUDIO, RATE).text
    assert (code, heard[-1]["type"]) == (1000, "Metadata")


def test_too_many_bad_messages_end_the_stream(server: LiveServer) -> None:
    assert asyncio.run(closing(server, RAW, *["{}"] * 102))[0] == 1008


def test_a_message_that_is_too_large(server: LiveServer) -> None:
    assert asyncio.run(closing(server, RAW, bytes(25 * 2**20)))[0] == 1009


@pytest.mark.parametrize("query", [RAW, ""])
def test_who_sends_nothing_is_closed_as_by_deepgram(tiny_artifact: Path, query: str) -> None:
    async def run(server: LiveServer) -> tuple[int | None, str | None]:
        async with connect(server.url(f"/v1/listen?{query}")) as socket:
            for _ in range(9):  # longer than the limit
                await asyncio.sleep(0.25)
                await socket.send('{"type":"KeepAlive"}')
            async with asyncio.timeout(SECONDS):
                await socket.wait_closed()
            return socket.protocol.close_code, (socket.protocol.close_reason or "")[:8]

    with live_server(tiny_artifact, idle_timeout=2.0) as server:
        assert asyncio.run(run(server)) == (1011, "NET-0001")


def test_clients_that_vanish(server: LiveServer) -> None:
    """In the middle of raw audio, of a container, and right behind the end of the audio."""

    async def run() -> None:
        sockets: list[ClientConnection] = []
        ogg = io.BytesIO()
        soundfile.write(ogg, AUDIO, RATE, format="OGG", subtype="OPUS")
        cases: list[tuple[str, list[str | bytes]]] = [
            (RAW, [AUDIO.tobytes()]),
            ("", [ogg.getvalue()[:3_000]]),
            ("", [ogg.getvalue()[:100]]),
            (RAW, [AUDIO.tobytes(), CLOSE]),
        ]
        for query, sent in cases:
            socket = await connect(server.url(f"/v1/listen?{query}"))
            for message in sent:
                await socket.send(message)
            sockets.append(socket)
        await asyncio.sleep(0.1)
        for socket in sockets:
            socket.transport.abort()

    asyncio.run(run())


@pytest.mark.usefixtures("winding_up")
def test_the_end_of_the_server_gives_all_text(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> tuple[int | None, str]:
        async with connect(server.url(f"/v1/listen?{RAW}")) as socket:
            await socket.send(AUDIO.tobytes())
            async with asyncio.timeout(SECONDS):
                while [session.received for session in server.service.sessions] != [len(AUDIO)]:
                    await asyncio.sleep(0.01)
            server.stop()
            heard = []
            try:
                async for message in socket:
                    heard.append(json.loads(message))
            except ConnectionClosed:
                pass
            texts = [m["channel"]["alternatives"][0]["transcript"] for m in heard if m["type"] == "Results"]
            return socket.protocol.close_code, " ".join(filter(None, texts))

    with live_server(tiny_artifact, drain=SECONDS) as server:
        assert asyncio.run(run(server)) == (1012, server.recognizer.transcribe(AUDIO, RATE).text)
