"""Prerecorded audio by Deepgram's client."""

import hashlib
import io
import socket
import time
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from emf.serve.access.keys import Account, Keys
from emf.serve.deepgram import prerecorded
from tests.serve.deepgram.conftest import recording
from tests.serve.deepgram.talking import KEY, RATE, client, joined
from tests.serve.live_server import SECONDS, LiveServer, live_server

DIGITS = recording("digits")
PATH = "/v1/listen"


def sound(samples: npt.NDArray[np.int16], form: str = "WAV", subtype: str = "PCM_16", rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "subtype"), [("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]
)
def test_the_answer_is_the_librarys_in_deepgrams_shape(demo: LiveServer, form: str, subtype: str) -> None:
    data = sound(DIGITS, form, subtype)
    heard, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    with client(demo) as deepgram:
        answer = deepgram.listen.v1.media.transcribe_file(
            request=data, model="nova-3", smart_format=True, utterances=True, keyterm=["日本"]
        )
    expected = demo.recognizer.transcribe(heard, rate)
    (channel,) = answer.results.channels
    (said,) = channel.alternatives or []
    assert said.transcript == expected.text != ""
    assert [word.word for word in said.words or []] == [word.word for word in expected.words]
    metadata = answer.metadata
    assert metadata.sha256 == hashlib.sha256(data).hexdigest()
    assert metadata.duration == pytest.approx(len(heard) / rate, abs=2e-3)
    assert (metadata.channels, len(metadata.models)) == (1, 1)
    utterances = answer.results.utterances or []
    assert len(utterances) == 2, "there is one pause of more than 0.8 s"
    assert joined(one.transcript or "" for one in utterances) == said.transcript


def test_channels_apart_and_mixed(demo: LiveServer) -> None:
    both = np.stack([DIGITS, np.roll(DIGITS, RATE)], axis=1)
    with client(demo) as deepgram:
        media = deepgram.listen.v1.media
        apart = media.transcribe_file(request=sound(both), model="x", multichannel=True)
        mixed = media.transcribe_file(request=sound(both), model="x")
    texts = [(channel.alternatives or [])[0].transcript for channel in apart.results.channels]
    assert texts == [demo.recognizer.transcribe(np.ascontiguousarray(one), RATE).text for one in both.T]
    (channel,) = mixed.results.channels
    assert (channel.alternatives or [])[0].transcript == demo.recognizer.transcribe(both, RATE).text


def test_raw_audio(demo: LiveServer) -> None:
    url = demo.url(f"{PATH}?encoding=linear16&sample_rate=16000", "http")
    answer = httpx.post(url, content=DIGITS.tobytes(), headers={"Content-Type": "audio/raw"}).json()
    said = answer["results"]["channels"][0]["alternatives"][0]["transcript"]
    assert said == demo.recognizer.transcribe(DIGITS, RATE).text


BAD = {
    "a URL": (b'{"url":"http://127.0.0.1/x.wav"}', "application/json; charset=utf-8", ""),
    "no JSON": (b"{", "application/json", ""),
    "nothing": (b"", "audio/wav", ""),
    "no sound": (b"x" * 5_000, "audio/wav", ""),
    "a header alone": (sound(DIGITS)[:40], "audio/wav", ""),
    "floats that are none": (b"\xff" * 4_000, "", "encoding=linear32&sample_rate=16000"),
    "another rate than announced": (sound(DIGITS), "audio/wav", "encoding=linear16&sample_rate=8000"),
    "a bad parameter": (sound(DIGITS), "", "utt_split=long"),
    "a callback": (sound(DIGITS), "", "callback=http://example.org"),
}


@pytest.mark.parametrize("case", BAD)
def test_requests_that_make_no_sense(server: LiveServer, case: str) -> None:
    body, kind, query = BAD[case]
    answer = httpx.post(server.url(f"{PATH}?{query}", "http"), content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.json()["err_code"] == "Bad Request"
    assert answer.json()["request_id"] == answer.headers["dg-request-id"]
    assert server.service.gate.places.taken == 0


def test_limits(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerecorded, "MOST_BYTES", 1_000)
    small = Account("small", 1)
    small.streams = 1
    keys = Keys([(KEY, Account("good")), ("small-key-0123456789", small)])
    good = {"Authorization": f"Token {KEY}"}
    with live_server(tiny_artifact, keys=keys, max_streams=1) as server:
        url = server.url(PATH, "http")
        assert httpx.post(url, content=bytes(2_000), headers=good).json()["err_code"] == "PAYLOAD_TOO_LARGE"
        assert httpx.post(url, content=b"").json()["err_code"] == "INVALID_AUTH"
        full = {"Authorization": "Token small-key-0123456789"}
        assert httpx.post(url, content=b"", headers=full).status_code == 429
        refused = httpx.post(url + "?encoding=mulaw&sample_rate=8000&channels=2&multichannel=1", headers=good)
        assert (refused.status_code, refused.json()["err_code"]) == (503, "SERVICE_UNAVAILABLE")
        assert int(refused.headers["Retry-After"]) > 0


def test_a_body_that_does_not_come_and_a_client_that_leaves(tiny_artifact: Path) -> None:
    head = b"POST /v1/listen?encoding=linear16&sample_rate=16000 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    with live_server(tiny_artifact, idle_timeout=1.0) as server:
        with socket.create_connection(("127.0.0.1", server.port), SECONDS) as slow:
            slow.sendall(head % 1_000 + bytes(10))
            assert b" 408 " in slow.recv(1_000)
        with socket.create_connection(("127.0.0.1", server.port), SECONDS) as leaving:
            with suppress(ConnectionError):  # the server may have waited long enough
                leaving.sendall(head % 10_000_000 + bytes(10_000_000))
            time.sleep(0.2)
        end = time.monotonic() + SECONDS
        while server.service.gate.places.taken and time.monotonic() < end:
            time.sleep(0.02)
        assert server.service.gate.places.taken == 0
        assert not server.service.sessions


def test_a_long_recording_waits_for_room(demo: LiveServer) -> None:
    """Its audio comes faster than it is decoded, and is never more than the session takes."""
    tiled = np.tile(DIGITS, 6)
    answer = httpx.post(demo.url(PATH, "http"), content=sound(tiled), timeout=60)
    said = answer.json()["results"]["channels"][0]["alternatives"][0]["transcript"]
    assert said == demo.recognizer.transcribe(tiled, RATE).text
