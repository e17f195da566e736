"""What is in a file is read once, to its end, and what is missing is told."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from emf.runtime import AudioError
from emf.runtime.arrays import FloatArray
from emf.runtime.audio.sound_files import check_sound_file, read_blocks, read_resampled
from tests.runtime.audio.sound_bytes import (
    AUDIO,
    encoded,
    flac_of_unknown_length,
    loud_then_quiet,
    pcm,
    wav,
    without_info,
)
from tests.signals import SAMPLE_RATE


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], FloatArray]:
    def samples(data: bytes, name: str = "audio.bin") -> FloatArray:
        (tmp_path / name).write_bytes(data)
        blocks = list(read_blocks(tmp_path / name))
        assert {rate for rate, _ in blocks} <= {SAMPLE_RATE}
        return np.concatenate([block for _, block in blocks] or [np.zeros(0, np.float32)])

    return samples


Read = Callable[..., FloatArray]
MP3 = encoded("MP3")
OGG = encoded("OGG")
FLAC = encoded("FLAC")


def warning(caplog: pytest.LogCaptureFixture) -> str:
    """The only one there is; it says how much was read."""
    (record,) = caplog.records
    assert "s of audio are read" in record.getMessage()
    return record.getMessage()


def beginning(found: FloatArray, whole: FloatArray, tolerance: float = 1e-6) -> bool:
    """Whether these are the first samples of others, each once."""
    return 0 < len(found) < len(whole) and bool(np.abs(found - whole[: len(found)]).max() <= tolerance)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (wav(pcm()[:20_000], size=len(pcm())), "64000 bytes of audio are promised, 20000 are there"),
        (FLAC[: len(FLAC) // 2], "2.00 s are promised"),
        (MP3[: len(MP3) // 2], "s are promised"),
        (OGG[: 2 * len(OGG) // 3], "no page says that it is the last"),
    ],
    ids=["wav", "flac", "mp3", "ogg"],
)
def test_a_file_that_breaks_off(read: Read, caplog: pytest.LogCaptureFixture, data: bytes, words: str) -> None:
    whole = read({b"RIFF": wav(pcm()), b"fLaC": FLAC, b"OggS": OGG}.get(data[:4], MP3))
    assert not caplog.records
    found = read(data)
    # The last samples of lossy codecs overlap with what is missing.
    assert beginning(found[:-1500] if data[:4] not in (b"RIFF", b"fLaC") else found, whole)
    assert words in warning(caplog)


@pytest.mark.parametrize("form", ["AIFF", "AU", "W64"])
def test_other_formats_that_break_off(read: Read, caplog: pytest.LogCaptureFixture, form: str) -> None:
    data = encoded(form)
    whole = read(data)
    assert len(whole) == len(AUDIO)
    assert not caplog.records
    assert beginning(read(data[: len(data) // 2]), whole)
    assert "it breaks off" in warning(caplog)
    assert f"{len(data) // 2} are there" in warning(caplog)


@pytest.mark.parametrize(
    ("one", "length"),
    [(MP3, len(AUDIO)), (OGG, len(AUDIO)), (FLAC, len(AUDIO)), (wav(pcm()), len(AUDIO))],
    ids=["mp3", "ogg", "flac", "wav"],
)
def test_files_joined_to_one(read: Read, caplog: pytest.LogCaptureFixture, one: bytes, length: int) -> None:
    alone, joined = read(one), read(one * 3)
    assert len(alone) == length
    np.testing.assert_array_equal(joined, np.tile(alone, 3))
    assert not caplog.records


def test_joined_files_of_two_rates_and_a_broken_one(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    other = encoded("OGG", samples=np.stack([AUDIO[:16_000]] * 2, axis=1), rate=8_000)
    assert len(read(OGG + other)) == len(AUDIO) + 32_000
    cut = OGG[: 2 * len(OGG) // 3]
    assert len(read(cut + OGG)) == len(read(cut)) + len(AUDIO)
    caplog.clear()
    damaged = bytearray(OGG)
    damaged[29:35] = b"nobody"  # where "vorbis" stands
    assert len(read(OGG + damaged)) == len(AUDIO)
    assert f"its bytes from {len(OGG)} to {2 * len(OGG)} are left out" in warning(caplog)


@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        ("WAV", "GSM610"),
        ("WAV", "G721_32"),
        ("WAV", "NMS_ADPCM_32"),
        ("AU", "G723_24"),
        ("WAV", "IMA_ADPCM"),
        ("WAV", "MS_ADPCM"),
        ("AIFF", "GSM610"),
    ],
)
def test_codecs_that_cannot_seek(read: Read, caplog: pytest.LogCaptureFixture, form: str, subtype: str) -> None:
    found = read(encoded(form, subtype))
    assert 0 <= len(found) - len(AUDIO) < 1200
    assert np.corrcoef(found[: len(AUDIO)], AUDIO)[0, 1] > 0.9
    assert not caplog.records


def test_flac_of_unknown_length(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    np.testing.assert_array_equal(read(flac_of_unknown_length(FLAC)), read(FLAC))
    assert not caplog.records


@pytest.mark.parametrize("samples", [AUDIO, loud_then_quiet(), loud_then_quiet()[::-1]], ids=["even", "down", "up"])
def test_mp3_of_variable_rate_that_says_no_length(
    read: Read, caplog: pytest.LogCaptureFixture, tmp_path: Path, samples: FloatArray
) -> None:
    pytest.importorskip("soundfile", "0.13", reason="older ones write constant bit rates alone")
    path = tmp_path / "variable.mp3"
    options: dict[str, Any] = {"compression_level": 0.1, "bitrate_mode": "VARIABLE"}
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, format="MP3", **options) as sound:
        sound.write(samples)
    data = path.read_bytes()
    whole, found = read(data), read(without_info(data))
    assert len(whole) == len(samples)
    delay = 1105  # what the info frame tells the decoder to drop
    np.testing.assert_allclose(found[delay:][: len(whole)], whole[: len(found) - delay], atol=1e-4)
    assert 0 <= len(found) - delay - len(whole) < 1152
    assert not caplog.records


@pytest.mark.parametrize("tags", [b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128), b"TAG" + bytes(125)], ids=["2", "1"])
def test_mp3_with_tags_between_its_parts(read: Read, caplog: pytest.LogCaptureFixture, tags: bytes) -> None:
    np.testing.assert_array_equal(read(tags + MP3 + tags + MP3 + tags), np.tile(read(MP3), 2))
    assert not caplog.records


@pytest.mark.parametrize("riff_size", [0, 36, 0xFFFFFFFF])
def test_a_recorder_that_died_before_it_wrote_the_size(
    read: Read, caplog: pytest.LogCaptureFixture, riff_size: int
) -> None:
    np.testing.assert_array_equal(read(wav(pcm(), 0, riff_size)), read(wav(pcm())))
    assert "the 64000 bytes behind the header are taken" in warning(caplog)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000])
def test_wav_from_a_pipe_is_whole(read: Read, caplog: pytest.LogCaptureFixture, size: int) -> None:
    np.testing.assert_array_equal(read(wav(pcm(), size, 0xFFFFFFFF)), read(wav(pcm())))
    assert not caplog.records


def test_what_lies_behind_the_audio_of_a_wav_file(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    tags = b"LIST\x0c\x00\x00\x00INFOISFTabcd"
    assert len(read(wav(pcm()) + tags)) == len(AUDIO)
    assert len(read(wav(b"") + tags)) == 0
    assert not caplog.records
    assert len(read(wav(pcm(), size=32_000))) == 16_000
    assert "32000 bytes behind its audio are left out" in warning(caplog)


def test_a_header_that_promises_nothing_is_refused_where_it_cannot_be_repaired(read: Read) -> None:
    data = bytearray(encoded("AU", "PCM_16"))
    data[8:12] = bytes(4)
    with pytest.raises(AudioError, match="promises none; repair the header"):
        read(bytes(data))


def test_a_file_of_which_nothing_can_be_read_is_refused(read: Read) -> None:
    with pytest.raises(AudioError, match=r"audio\.bin: expected audio, but it .* none can be read"):
        read(FLAC[:100] + bytes(2000))


@pytest.mark.parametrize("name", ["speech.raw", "speech.RAW", "speech", "speech.txt"])
def test_the_content_and_not_the_name_tells_the_format(read: Read, name: str) -> None:
    assert len(read(wav(pcm()), name)) == len(AUDIO)
    with pytest.raises(AudioError, match="expected a sound file that libsndfile reads"):
        read(pcm(), name)


def test_folders_and_devices(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="this is a folder; name the files in it"):
        read_resampled(tmp_path, SAMPLE_RATE)
    for read_or_check in (lambda path: list(read_blocks(path)), check_sound_file):
        with pytest.raises(AudioError, match="this is a device"):
            read_or_check(os.devnull)
        with pytest.raises(AudioError, match="no such file"):
            read_or_check(tmp_path / "nowhere.wav")


def test_a_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_sound_file(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(wav(pcm()),))
    writer.start()
    found = read_resampled(pipe, SAMPLE_RATE)
    writer.join()
    assert len(found) == len(AUDIO)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "it may not be read"),
        (errno.EMFILE, "too many files are open"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_files_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    path = tmp_path / "audio.wav"
    path.write_bytes(wav(pcm()))

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(AudioError, match=rf"audio\.wav: expected a sound file, but {words}"):
        read_resampled(path, SAMPLE_RATE)
