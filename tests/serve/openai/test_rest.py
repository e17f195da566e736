"""Files to text with the `openai` package, in all forms; uploads that make no sense."""

import asyncio
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soundfile
from openai import AsyncOpenAI, OpenAI

from emf.runtime.arrays import FloatArray
from emf.runtime.speech.subtitles import to_srt, to_vtt
from emf.serve.access.keys import Account, Keys
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.openai.speech import recording
from tests.serve.recordings import RECORDINGS
from tests.signals import SAMPLE_RATE, speech_like

KEY = "rest-key-0123456789"
DIGITS = RECORDINGS / "digits.flac"
POST = "/v1/audio/transcriptions"


@pytest.fixture
def client(demo_server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(api_key=KEY, base_url=demo_server.url("/v1", "http"), max_retries=0) as made:
        yield made


def library(server: LiveServer, path: Path) -> Any:
    samples, rate = soundfile.read(path, dtype="float32")
    return server.recognizer.transcribe(samples, rate)


def test_all_forms(client: OpenAI, demo_server: LiveServer) -> None:
    expected = library(demo_server, DIGITS)
    seconds = soundfile.info(DIGITS).duration
    create = client.audio.transcriptions.create
    plain = create(model="whisper-1", file=DIGITS, include=["logprobs"])
    assert plain.text == expected.text != ""
    assert plain.usage is not None
    assert plain.usage.to_dict() == {"type": "duration", "seconds": pytest.approx(seconds, abs=0.001)}
    assert plain.logprobs is not None
    assert [entry.token for entry in plain.logprobs] == expected.text.split()
    assert create(model="x", file=DIGITS, response_format="text") == f"{expected.text}\n"
    assert create(model="x", file=DIGITS, response_format="srt") == to_srt(expected.words, seconds)
    assert create(model="x", file=DIGITS, response_format="vtt") == to_vtt(expected.words, seconds)
    verbose = create(model="x", file=DIGITS, response_format="verbose_json", language="en")
    assert (verbose.text, verbose.language, verbose.words) == (expected.text, "en", None)
    assert verbose.segments is not None
    assert [segment.text for segment in verbose.segments] == [expected.text]
    assert verbose.segments[0].end == pytest.approx(expected.words[-1].end, abs=0.001)
    words = create(model="x", file=DIGITS, response_format="verbose_json", timestamp_granularities=["word"])
    assert words.segments is None
    assert words.duration == pytest.approx(seconds, abs=0.001)
    assert words.words is not None
    found = [(word.word, word.start, word.end) for word in words.words]
    assert found == [(word.word, round(word.start, 3), round(word.end, 3)) for word in expected.words]
    both = create(model="x", file=DIGITS, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert both.words
    assert both.segments


def test_the_asynchronous_client(demo_server: LiveServer) -> None:
    async def run() -> tuple[str, list[Any]]:
        client = AsyncOpenAI(api_key=KEY, base_url=demo_server.url("/v1", "http"))
        async with client:
            whole = await client.audio.transcriptions.create(model="x", file=DIGITS)
            stream = await client.audio.transcriptions.create(model="x", file=DIGITS, stream=True)
            return whole.text, [event async for event in stream]

    text, events = asyncio.run(run())
    *deltas, done = events
    assert text == done.text == library(demo_server, DIGITS).text
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert "".join(event.delta for event in deltas) == done.text
    assert len(deltas) > 1


def test_segments_are_joined_as_they_are_spelled(demo_artifact: Path) -> None:
    """The longest segment ends within words here, and the deltas still give the text."""
    from emf.runtime import EndpointRules

    rules = EndpointRules(max_length=0.6)
    with (
        live_server(demo_artifact, endpoint=rules) as server,
        OpenAI(api_key=KEY, base_url=server.url("/v1", "http")) as client,
    ):
        for name in ("date", "commands"):
            stream = client.audio.transcriptions.create(model="x", file=RECORDINGS / f"{name}.flac", stream=True)
            *deltas, done = list(stream)
            assert "".join(event.delta for event in deltas if event.type == "transcript.text.delta") == done.text  # type: ignore[union-attr]


def saved(samples: FloatArray, rate: int, form: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "subtype", "rate", "channels"),
    [
        ("WAV", "PCM_16", 8_000, 1),
        ("WAV", "FLOAT", 48_000, 2),
        ("WAV", "ULAW", 8_000, 1),
        ("FLAC", "PCM_24", 44_100, 2),
        ("OGG", "VORBIS", 24_000, 1),
        ("MP3", None, 16_000, 1),
    ],
)
def test_files(
    client: OpenAI, demo_server: LiveServer, form: str, subtype: str | None, rate: int, channels: int
) -> None:
    samples = recording("name", rate)
    data = saved(np.stack([samples] * channels, axis=1), rate, form, subtype)
    heard, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    found = client.audio.transcriptions.create(model="x", file=(f"a.{form.lower()}", data))
    assert found.text == demo_server.recognizer.transcribe(heard, rate).text != ""


def test_keywords_are_phrases(client: OpenAI, demo_server: LiveServer) -> None:
    samples, rate = soundfile.read(DIGITS, dtype="float32")
    stream = demo_server.recognizer.create_stream({"zero": 6.0, "one": 6.0})
    stream.accept_waveform(rate, samples)
    stream.input_finished()
    demo_server.recognizer.decode_ready([stream])
    keywords = ["zero", "one", "\U0001f600"]
    found = client.audio.transcriptions.create(model="x", file=DIGITS, extra_body={"keywords": keywords})
    assert found.text == demo_server.recognizer.get_result(stream).text


def test_models(client: OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.object, model.owned_by) == ("model", "emformer-deploy")
    assert client.models.retrieve(model.id) == model
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt/9")
    assert caught.value.code == "model_not_found"


WAV = saved(speech_like(0.5), SAMPLE_RATE, "WAV")
BAD: dict[str, tuple[dict[str, Any], str | None]] = {
    "no form": ({"json": {"file": "x"}}, "file"),
    "no boundary": ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, None),
    "broken form": ({"content": b"--b\r\nx", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, "file"),
    "no file": ({"data": {"model": "x"}, "files": {"other": WAV}}, "file"),
    "file as text": ({"data": {"file": "x"}, "files": {"other": WAV}}, "file"),
    "two files": ({"files": [("file", WAV), ("file", WAV)]}, None),
    "empty": ({"files": {"file": b""}}, "file"),
    "text": ({"files": {"file": b"hello" * 100}}, "file"),
    "a WAV header alone": ({"files": {"file": WAV[:20]}}, "file"),
    "NaN": ({"files": {"file": saved(np.full(800, np.nan, np.float32), 16_000, "WAV", "FLOAT")}}, "file"),
    "form": ({"files": {"file": WAV}, "data": {"response_format": "diarized_json"}}, "response_format"),
    "times": ({"files": {"file": WAV}, "data": {"timestamp_granularities[]": "x"}}, "timestamp_granularities"),
    "stream": ({"files": {"file": WAV}, "data": {"stream": "maybe"}}, "stream"),
    "temperature": ({"files": {"file": WAV}, "data": {"temperature": "nan"}}, "temperature"),
    "long field": ({"files": {"file": WAV}, "data": {"prompt": "x" * 100_000}}, None),
}


@pytest.mark.parametrize("name", BAD)
def test_requests_that_make_no_sense(server: LiveServer, name: str) -> None:
    request, param = BAD[name]
    answer = httpx.post(server.url(POST, "http"), **request)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param), error
    assert error["message"]
    assert not server.service.sessions


def test_uploads_are_bounded(tiny_artifact: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(40):
            yield bytes(2**16)

    with live_server(tiny_artifact, max_upload=1) as server:
        url = server.url(POST, "http")
        told = httpx.post(url, files={"file": bytes(2**21)})
        untold = httpx.post(url, content=chunks(), headers={"Content-Type": "multipart/form-data; boundary=b"})
        assert [answer.status_code for answer in (told, untold)] == [413, 413]
        assert told.json()["error"]["code"] == "content_too_large"
        assert httpx.post(url, files={"file": WAV}).status_code == 200


def test_who_is_let_in(tiny_artifact: Path) -> None:
    with live_server(tiny_artifact, keys=Keys([(KEY, Account("tester", 1))]), max_streams=1) as server:
        url = server.url("/v1", "http")
        create: dict[str, Any] = {"model": "x", "file": ("a.wav", WAV)}
        with OpenAI(api_key="wrong", base_url=url) as client, pytest.raises(openai.AuthenticationError) as caught:
            client.audio.transcriptions.create(**create)
        assert caught.value.code == "invalid_api_key"
        with OpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
            assert client.audio.transcriptions.create(**create).text
            server.service.gate.places.taken += 1
            with pytest.raises(openai.InternalServerError) as full:
                client.audio.transcriptions.create(**create)
        assert (full.value.status_code, full.value.response.headers["Retry-After"]) == (503, "2")
        server.service.gate.places.taken -= 1
        assert httpx.get(server.url(POST, "http")).status_code == 405


def test_whoever_leaves_is_not_decoded(tiny_artifact: Path) -> None:
    """An hour of audio whose client leaves at once gives its place back."""
    data = saved(np.zeros(3600 * 8_000, np.float32), 8_000, "FLAC")

    async def run(server: LiveServer, form: dict[str, str]) -> None:
        timeout = httpx.Timeout(10, read=0.7)
        post: Any = {"url": server.url(POST, "http"), "files": {"file": data}, "data": form}
        async with httpx.AsyncClient(timeout=timeout) as client:
            with suppress(httpx.ReadTimeout):
                async with client.stream("POST", **post) as answer:
                    assert form, "the answer comes at the end"
                    await anext(answer.aiter_bytes())
                    assert server.service.sessions
        async with asyncio.timeout(SECONDS):
            while server.service.gate.places.taken or server.service.sessions or server.engine.metrics().streams:
                await asyncio.sleep(0.02)

    with live_server(tiny_artifact) as server:
        for form in ({}, {"stream": "true"}):
            before = server.engine.metrics().chunks
            asyncio.run(run(server, form))
            seconds = (server.engine.metrics().chunks - before) * server.recognizer.transducer.manifest.seconds_per_step
            assert seconds < 3000


def test_a_file_that_fails_midway_says_so_in_its_events(tiny_artifact: Path) -> None:
    samples = speech_like(8.0)
    samples[-800:] = np.nan
    data = saved(samples, SAMPLE_RATE, "WAV", "FLOAT")
    with live_server(tiny_artifact) as server:
        with OpenAI(api_key=KEY, base_url=server.url("/v1", "http")) as client:
            stream = client.audio.transcriptions.create(model="x", file=("a.wav", data), stream=True)
            with pytest.raises(openai.APIError, match="NaN"):
                list(stream)
        answer = httpx.post(server.url(POST, "http"), files={"file": data}, data={"stream": "true"})
        assert json.loads(answer.text.strip().rpartition("data: ")[2])["error"]["param"] == "file"
