"""The client: the same text as the library, over connections that break, without an engine or the server's packages."""

import asyncio
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from emf.runtime import EndpointRules, UsageError
from emf.serve.client import Transcriber
from emf.serve.live_text import LiveText, stream_url
from emf.serve.reconnecting import ServerError
from emf.serve.unkept_audio import UnkeptAudio
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.signals import SAMPLE_RATE, speech_like
from tests.test_import_rules import ENGINES, HEAVY, run_without

AUDIO = speech_like(4.0, seed=5)
SERVER_PACKAGES = ["msgspec", "starlette", "uvicorn", "prometheus_client", "multipart", "python_multipart"]


async def transcribe(transcriber: Transcriber, piece: int = 4000) -> tuple[str, list[LiveText]]:
    async with asyncio.timeout(SECONDS), transcriber:
        for at in range(0, len(AUDIO), piece):
            await transcriber.send(AUDIO[at : at + piece])
        text = await transcriber.finish()
        return text, [text async for text in transcriber]


def test_the_text_is_the_librarys(server: LiveServer) -> None:
    async def run() -> tuple[str, list[LiveText]]:
        return await transcribe(Transcriber(server.url(), sample_rate=SAMPLE_RATE, encoding="pcm_f32le"))

    text, texts = asyncio.run(run())
    expected = server.recognizer.transcribe(AUDIO, SAMPLE_RATE)
    assert text == expected.text != ""
    assert texts[-1].is_final
    assert texts[-1].text == expected.text
    assert [word.word for word in texts[-1].words] == [word.word for word in expected.words]


class Proxy:
    """Passes bytes on, and cuts every connection after some of them, as often as it is told."""

    def __init__(self, port: int, cuts: list[int]) -> None:
        self._target, self._cuts = port, cuts
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self._cuts.pop(0) if self._cuts else 1 << 40
        onward, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, back]
        answers = asyncio.create_task(self._pass(onward, writer))
        with suppress(ConnectionError):
            while left > 0 and (data := await reader.read(min(left, 5000))):
                back.write(data)
                await back.drain()
                left -= len(data)
        for end in (writer, back):
            end.transport.abort()
        await answers

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(5000):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.mark.parametrize("cuts", [[5_000, 90_000, 100_000], [700, 1500, 150_000]])
def test_it_comes_back_by_itself(tiny_artifact: Path, cuts: list[int]) -> None:
    endpoint = EndpointRules(max_length=1.5)

    async def run(server: LiveServer) -> tuple[str, list[LiveText], int, str, list[LiveText]]:
        whole, unbroken = await transcribe(Transcriber(server.url(), sample_rate=SAMPLE_RATE, encoding="pcm_f32le"))
        async with Proxy(server.port, list(cuts)) as port:
            url = f"http://127.0.0.1:{port}"
            client = Transcriber(url, sample_rate=SAMPLE_RATE, encoding="pcm_f32le", most_unkept=3.0)
            text, texts = await transcribe(client)
            return text, texts, client.reconnects, whole, unbroken

    with live_server(tiny_artifact, endpoint=endpoint) as server:
        text, texts, reconnects, whole, unbroken = asyncio.run(run(server))
    assert text == whole != ""
    finals = [[(one.segment, one.text) for one in some if one.is_final] for some in (texts, unbroken)]
    assert finals[0] == finals[1]
    assert len(finals[0]) > 1
    assert reconnects == len(cuts)


def test_marks_and_bounded_memory(server: LiveServer) -> None:
    async def run() -> str:
        client = Transcriber(server.url(), sample_rate=SAMPLE_RATE, encoding="pcm_f32le", most_unkept=3.0)
        async with asyncio.timeout(SECONDS), client:
            await client.send(AUDIO)
            assert client.unkept_seconds <= 3.0
            mark = asyncio.create_task(client.mark())
            await client.send(AUDIO)
            await mark
            return await client.finish()

    assert asyncio.run(run()) == server.recognizer.transcribe(np.tile(AUDIO, 2), SAMPLE_RATE).text


def test_errors_of_the_server(server: LiveServer) -> None:
    async def begin(url: str, rate: int) -> None:
        async with Transcriber(url, sample_rate=rate):
            pass

    with pytest.raises(ServerError) as refused:
        asyncio.run(begin(server.url(), 5))
    assert refused.value.code == "bad_request"
    with pytest.raises(ServerError) as missing:
        asyncio.run(begin(server.url("/nothing"), SAMPLE_RATE))
    assert missing.value.code == "http_403"
    with pytest.raises(ServerError) as nobody:
        asyncio.run(begin("ws://127.0.0.1:1", SAMPLE_RATE))
    assert nobody.value.code == "unreachable"


def test_audio_of_another_type_is_refused(server: LiveServer) -> None:
    async def run() -> None:
        async with Transcriber(server.url(), sample_rate=SAMPLE_RATE) as client:
            await client.send(AUDIO)

    with pytest.raises(UsageError, match="int16"):
        asyncio.run(run())
    with pytest.raises(UsageError):
        Transcriber(server.url(), sample_rate=SAMPLE_RATE, encoding="mp3")
    with pytest.raises(UsageError):
        Transcriber(server.url(), sample_rate=SAMPLE_RATE, most_unkept=float("nan"))


def test_addresses() -> None:
    assert (
        stream_url("http://host:1/") == stream_url("ws://host:1") == stream_url("host:1") == "ws://host:1/emf/v1/stream"
    )
    assert stream_url("https://host/a?b=c") == "wss://host/a?b=c"
    with pytest.raises(UsageError):
        stream_url("ftp://host")


def test_unkept_audio() -> None:
    audio = UnkeptAudio(2)
    audio.add(b"aabbc")
    assert (audio.take(1), audio.take(9), audio.end) == (b"aa", b"bb", 2)
    audio.add(b"cdd")
    audio.keep(1)
    assert audio.rewind(1)
    assert audio.take(9) == b"bbccdd"
    assert not audio.rewind(0)
    assert not audio.rewind(5)
    audio.keep(4)
    assert (audio.unkept, audio.take(9)) == (0, b"")


def test_it_needs_neither_an_engine_nor_the_server() -> None:
    run_without(
        [*HEAVY, *ENGINES, *SERVER_PACKAGES], "import emf.serve.commands.stream, emf.serve; emf.serve.Transcriber"
    )
