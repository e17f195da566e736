"""Audio at the boundary: what is taken, what is refused, and with which words."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emf.runtime import AudioError
from emf.runtime.arrays import FloatArray
from emf.runtime.audio.samples import MAX_AMPLITUDE, check_sample_rate, to_mono_float
from emf.runtime.audio.sound_files import read_blocks, read_resampled
from tests.signals import SAMPLE_RATE, speech_like

AUDIO = speech_like(0.5)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([0.5, -0.25], [0.5, -0.25]),
        (np.array([0.5, -0.25], np.float64), [0.5, -0.25]),
        (np.array([0.5, -0.25], np.float16), [0.5, -0.25]),
        (np.array([0.5, -0.25], ">f4"), [0.5, -0.25]),
        (np.array([16384, -32768], np.int16), [0.5, -1.0]),
        (np.array([2**30, -(2**31)], np.int32), [0.5, -1.0]),
        (np.array([[0.5, 0.1], [0.2, -0.2]]), [0.3, 0.0]),
        (np.array([[16384, 0], [0, 0]], np.int16), [0.25, 0.0]),
        (np.array([[0.5], [0.1]]), [0.5, 0.1]),
        (np.arange(6.0)[::2] / 10.0, [0.0, 0.2, 0.4]),
        ([], []),
        (np.zeros((0, 2), np.int16), []),
    ],
    ids=repr,
)
def test_samples_become_mono_float(samples: Any, expected: list[float]) -> None:
    found = to_mono_float(samples)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    "samples",
    [
        [0.0, float("nan")],
        [0.0, float("inf")],
        np.array([0.0, 1e300]),
        np.array([[float("inf"), -float("inf")]]),
        np.array([1, 2], np.uint8),
        np.array([1, 2], np.int64),
        np.array([1, 2], np.uint16),
        np.array([True, False]),
        np.array([1j]),
        np.array(["a"]),
        np.array([None]),
        [[0.1, 0.2], [0.3]],
        "audio",
        b"RIFF",
        None,
        0.5,
        np.zeros((2, 2, 2)),
        np.zeros((2, 16_000)),
        *(np.zeros((1, count)) for count in (2, 3, 64, 65, 16_000)),
        np.array([0.1, 17.0]),
        np.array([0, 300, -2000, 32767], np.float32),
    ],
    ids=lambda samples: " ".join(repr(samples).split())[:40],
)
def test_unusable_samples_are_refused_in_one_line(samples: Any) -> None:
    with warnings.catch_warnings(), pytest.raises(AudioError, match="expected") as caught:
        warnings.simplefilter("error")
        to_mono_float(samples)
    assert "\n" not in str(caught.value)


@given(hnp.arrays(st.sampled_from([np.int16, np.int32, np.float32]), st.integers(0, 20)))
def test_any_array_is_finite_or_refused(samples: np.ndarray) -> None:
    try:
        found = to_mono_float(samples)
    except AudioError:
        assert not np.isfinite(samples).all() or np.abs(samples).max() > MAX_AMPLITUDE
    else:
        assert len(found) == len(samples)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("rate", [1_000, 8_000, 16_000.0, np.int32(44_100), np.float32(48_000), 768_000])
def test_sample_rates(rate: Any) -> None:
    assert check_sample_rate(rate) == int(rate)
    assert isinstance(check_sample_rate(rate), int)


@pytest.mark.parametrize(
    "rate",
    [0, -16_000, 999, 768_001, 10**400, 16_000.5, float("nan"), float("inf"), True, "16000", None, [16_000], 16_000j],
    ids=lambda rate: repr(rate)[:20],
)
def test_impossible_sample_rates(rate: Any) -> None:
    with pytest.raises(AudioError, match="sample rate"):
        check_sample_rate(rate)


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [(".wav", "PCM_16", 1e-4), (".wav", "FLOAT", 0.0), (".flac", "PCM_24", 1e-6), (".wav", "PCM_U8", 1e-2)],
)
def test_files_of_many_formats(tmp_path: Path, suffix: str, subtype: str, tolerance: float) -> None:
    path = tmp_path / f"audio{suffix}"
    soundfile.write(path, AUDIO, SAMPLE_RATE, subtype=subtype)
    assert {rate for rate, _ in read_blocks(path)} == {SAMPLE_RATE}
    found = read_resampled(path, SAMPLE_RATE)
    np.testing.assert_allclose(found, AUDIO, rtol=0, atol=tolerance)


@pytest.mark.parametrize("seconds", [0.01, 0.1, 10.0])
def test_blocks_are_the_file(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "audio.wav"
    soundfile.write(path, AUDIO, SAMPLE_RATE, subtype="FLOAT")
    blocks = list(read_blocks(path, seconds=seconds))
    np.testing.assert_array_equal(np.concatenate([samples for _, samples in blocks]), AUDIO)
    assert all(len(samples) <= max(seconds * SAMPLE_RATE, 1) for _, samples in blocks)


def test_channels(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([AUDIO, np.zeros_like(AUDIO)], axis=1), 8_000, subtype="FLOAT")

    def taken(channel: int | None) -> FloatArray:
        return np.concatenate([samples for _, samples in read_blocks(path, channel)])

    np.testing.assert_allclose(taken(None), AUDIO / 2, atol=1e-7)
    np.testing.assert_array_equal(taken(0), AUDIO)
    assert not taken(1).any()
    with pytest.raises(AudioError, match="channel from 0 to 1"):
        taken(2)


def test_a_file_without_samples_gives_none(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0), SAMPLE_RATE)
    assert list(read_blocks(path)) == []
    assert len(read_resampled(path, SAMPLE_RATE)) == 0


@pytest.mark.parametrize("most", [0, 1, 7_000, len(AUDIO), 10**9])
@pytest.mark.parametrize("rate", [SAMPLE_RATE, 8_000])
def test_a_file_is_read_up_to_a_length(tmp_path: Path, rate: int, most: int) -> None:
    path = tmp_path / "audio.wav"
    soundfile.write(path, AUDIO, rate, subtype="FLOAT")
    np.testing.assert_array_equal(read_resampled(path, SAMPLE_RATE, most), read_resampled(path, SAMPLE_RATE)[:most])


@pytest.mark.parametrize(
    "content",
    [b"", b"not audio", b"RIFF\x24\x00\x00\x00WAVE", bytes(40)],
    ids=["empty", "text", "header alone", "zeros"],
)
def test_files_that_are_no_audio(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audio.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"audio\.wav") as caught:
        read_resampled(path, SAMPLE_RATE)
    assert "\n" not in str(caught.value)


def test_integers_kept_as_floats_are_told_how_to_be_scaled() -> None:
    with pytest.raises(AudioError, match=r"found 32767; where they are integers kept as floats, divide them by"):
        to_mono_float(np.array([0.0, 32767.0]))


@pytest.mark.parametrize("level", [1.0, 1.4, 4.0, 15.9])
def test_audio_a_little_too_loud_is_taken(level: float) -> None:
    np.testing.assert_allclose(to_mono_float(np.array([0.0, level])), [0.0, level])


def test_a_row_of_samples_is_never_taken_as_many_channels() -> None:
    assert len(to_mono_float(np.zeros((1, 1)))) == 1
    with pytest.raises(AudioError, match=r"\(1, 2\), which may be either; pass samples\[0\]"):
        to_mono_float(np.zeros((1, 2)))


def test_a_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "audio.flac"
    soundfile.write(path, AUDIO, SAMPLE_RATE)
    path.write_bytes(path.read_bytes()[:3000])
    try:
        found = read_resampled(path, SAMPLE_RATE)
    except AudioError as error:
        assert str(path) in str(error)
    else:
        assert len(found) < len(AUDIO)


def test_a_file_of_nan_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.full(100, np.nan), SAMPLE_RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav: expected finite"):
        read_resampled(path, SAMPLE_RATE)
