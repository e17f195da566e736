"""MP4, M4A, WebM and AAC: the library's text of the samples in them, live and as a whole, with PyAV and without."""

import asyncio
import io
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from emf.runtime.errors import AudioError
from emf.serve.containers.media import Media, demuxer_of
from emf.serve.containers.sound_upload import mono_blocks, sound_blocks, sound_format
from tests.serve.deepgram.talking import speak
from tests.serve.live_server import LiveServer
from tests.serve.recordings import Samples, recording

av = pytest.importorskip("av", reason="PyAV is not installed: the extra `media`")
RATE = 16_000
DIGITS = recording("digits")
pytestmark = pytest.mark.filterwarnings("ignore:.*websockets.*:DeprecationWarning")  # of deepgram-sdk


def written(container: str, codec: str, samples: Samples = DIGITS, rate: int = RATE, title: str = "") -> bytes:
    """Samples, shape (n,) or (n, 2), in a file."""
    file = io.BytesIO()
    layout = "mono" if samples.ndim == 1 else "stereo"
    with av.open(file, "w", format=container) as output:
        output.metadata["title"] = title
        stream = output.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts = RATE, 0
        context = stream.codec_context
        size = context.frame_size or 1024
        resampler = av.AudioResampler(format=context.format, layout=layout, rate=rate, frame_size=size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return file.getvalue()


LOSSLESS = [("ipod", "alac"), ("mp4", "flac"), ("matroska", "flac"), ("matroska", "pcm_s16le")]
LOSSY = [("mp4", "aac", RATE), ("ipod", "aac", 44_100), ("webm", "libopus", 48_000), ("adts", "aac", RATE)]


def post(server: LiveServer, data: bytes, name: str = "a.m4a") -> httpx.Response:
    return httpx.post(server.url("/v1/audio/transcriptions", "http"), files={"file": (name, data)}, timeout=60)


@pytest.mark.parametrize(("container", "codec"), LOSSLESS)
def test_samples_come_back_exactly(container: str, codec: str) -> None:
    file = io.BytesIO(written(container, codec))
    (rate,) = {rate for rate, _ in mono_blocks(file, Path("a"))}
    heard = np.concatenate([block for _, block in mono_blocks(file, Path("a"))])
    assert rate == RATE
    np.testing.assert_array_equal(heard, DIGITS.astype(np.float32) / np.float32(32768))


def test_a_title_in_latin_1() -> None:
    data = written("matroska", "flac", DIGITS[:RATE], title="Café!")
    damaged = data.replace("é!".encode(), b"\xe9!!")
    assert data != damaged
    assert Media(io.BytesIO(damaged), "matroska").sample_rate == RATE


def test_the_text_is_the_librarys_over_rest(demo_server: LiveServer) -> None:
    expected = demo_server.recognizer.transcribe(DIGITS, RATE).text
    assert post(demo_server, written("ipod", "alac")).json()["text"] == expected != ""


@pytest.mark.parametrize(("container", "codec", "rate"), LOSSY)
def test_what_browsers_and_telephones_record(demo_server: LiveServer, container: str, codec: str, rate: int) -> None:
    """Live, in pieces, by Deepgram's client; the text is that of the same file over REST."""
    data = written(container, codec, rate=rate)
    whole = post(demo_server, data).json()
    talk = asyncio.run(speak(demo_server, data, step=1_001, endpointing="false"))
    assert talk.text() == whole["text"] != ""
    assert len(set(whole["text"].split()) & set(demo_server.recognizer.transcribe(DIGITS, RATE).text.split())) >= 3
    assert talk.messages[-1].duration == pytest.approx(len(DIGITS) / RATE, abs=0.15)


def test_channels_apart_and_mixed() -> None:
    both = np.stack([DIGITS, np.roll(DIGITS, RATE)], axis=1)
    file = io.BytesIO(written("ipod", "alac", both))
    form = sound_format(file, True)
    assert (form.channels, form.separate, form.sample_rate) == (2, True, RATE)
    heard = np.frombuffer(b"".join(sound_blocks(file, form)), "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(heard, both.astype(np.float32) / np.float32(32768))
    mixed = np.frombuffer(b"".join(sound_blocks(file, sound_format(file, False))), "<f4")
    np.testing.assert_allclose(mixed, heard.mean(axis=1), atol=1e-7)


GOOD = written("ipod", "alac", DIGITS[:RATE])
BAD = {
    "a start alone": GOOD[:12],
    "a header alone": GOOD[:40],
    "zeros": GOOD[:12] + bytes(5_000),
    "WebM that is none": b"\x1aE\xdf\xa3" + bytes(5_000),
    "AAC that is none": b"\xff\xf1" + bytes(5_000),
    "a list of other files": b"\x1aE\xdf\xa3#EXTM3U\nfile:///etc/passwd\n" + bytes(100),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_media(server: LiveServer, case: str) -> None:
    answer = post(server, BAD[case])
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "file"), error
    assert "expected audio in this" in error["message"]
    assert "\n" not in error["message"]
    assert not server.service.sessions


def test_damage_ends_a_file_and_nothing_else() -> None:
    """Bytes changed and cut anywhere: audio, or an `AudioError`."""
    chance = np.random.default_rng(3)
    for container, codec in LOSSLESS[:3]:
        whole = np.frombuffer(written(container, codec, DIGITS[:RATE]), np.uint8)
        for _ in range(40):
            data = whole[: chance.integers(13, len(whole))].copy()
            data[chance.integers(12, len(data), 8)] = chance.integers(0, 256, 8)
            try:
                samples = sum(len(block) for _, block in mono_blocks(io.BytesIO(data.tobytes()), Path("a")))
                assert samples <= 20 * RATE
            except AudioError:
                pass


def test_without_pyav_the_formats_are_named(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    answer = post(server, GOOD)
    message = answer.json()["error"]["message"]
    assert (answer.status_code, message.count("\n")) == (400, 0)
    assert message.startswith("expected WAV, FLAC, Ogg, MP3")
    assert "emformer-deploy[media]" in message


def test_video_without_sound() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream: Any = output.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        output.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        output.mux(stream.encode(None))
    data = file.getvalue()
    assert demuxer_of(data) == "matroska"
    with pytest.raises(AudioError, match="holds none"):
        Media(io.BytesIO(data), "matroska")
