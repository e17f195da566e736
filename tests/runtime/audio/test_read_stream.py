"""Standard input: raw audio, live WAV, and whole sound files."""

import io
import struct

import numpy as np
import pytest

from emf.runtime import AudioError
from emf.runtime.arrays import FloatArray
from emf.runtime.audio.sound_files import read_stream
from tests.runtime.audio.sound_bytes import AUDIO, encoded, pcm, wav
from tests.signals import SAMPLE_RATE


class Pipe(io.BytesIO):
    """Cannot seek."""

    def seekable(self) -> bool:
        return False


def heard(data: bytes, channel: int | None = None) -> FloatArray:
    blocks = list(read_stream(Pipe(data), SAMPLE_RATE, channel))
    return np.concatenate([samples for _, samples in blocks] or [np.zeros(0, np.float32)])


EXACT = np.frombuffer(pcm(), "<i2").astype(np.float32) / 32768


@pytest.mark.parametrize("data", [pcm(), wav(pcm()), wav(pcm(), 0), wav(pcm(), 0xFFFFFFFF), encoded("FLAC", "PCM_16")])
def test_the_same_audio_in_many_forms(data: bytes) -> None:
    np.testing.assert_allclose(heard(data), EXACT, atol=1e-4)


@pytest.mark.parametrize("form", ["MP3", "OGG", "AIFF", "AU"])
def test_other_sound_files(form: str) -> None:
    assert np.corrcoef(heard(encoded(form)), AUDIO)[0, 1] > 0.95


@pytest.mark.parametrize("start", [b"\xff\xfb\x90\x00", b"\xff\xfb", b"RI", b"\x00", b"", b"ID"])
def test_raw_audio_that_begins_like_a_sound_file(start: bytes) -> None:
    data = start + pcm()
    even = len(data) // 2 * 2
    np.testing.assert_array_equal(heard(data), np.frombuffer(data[:even], "<i2").astype(np.float32) / 32768)
    assert len(heard(start)) == len(start) // 2


def test_live_wav_comes_as_it_is_recorded() -> None:
    stereo = np.stack([EXACT, 0 * EXACT], axis=1)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 2, 8_000, 32_000, 4, 16)
    data = head + struct.pack("<4sI4s", b"LIST", 3, b"abc") + struct.pack("<4sI", b"data", 0xFFFFFFFF)
    data += (stereo * 32768).astype("<i2").tobytes()
    pipe = Pipe(data)
    rate, first = next(read_stream(pipe, SAMPLE_RATE))
    assert rate == 8_000 and pipe.tell() < 4_000
    np.testing.assert_allclose(first, EXACT[: len(first)] / 2)
    np.testing.assert_array_equal(heard(data, channel=0), EXACT)
    with pytest.raises(AudioError, match="standard input: expected a channel from 0 to 1"):
        heard(data, channel=2)


def test_what_is_cut_off_is_told_by_name(caplog: pytest.LogCaptureFixture) -> None:
    assert len(heard(wav(pcm()[:2000], size=len(pcm())))) == 1000
    assert caplog.messages[0].startswith("standard input: it breaks off")
    with pytest.raises(AudioError, match="standard input: expected a sound file"):
        heard(b"fLaC" + bytes(300))
