"""Resampling in any pieces, interrupted and restored at any place, gives the same samples, and the right ones."""

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.resampler import Ratio, Resampler, ResamplerState, filter_of

TARGET = 16_000
RATES = [8_000, 11_025, 12_345, 16_000, 44_100, 96_000]
"""At 12.345 kHz the filter interpolates; at 16 kHz there is none."""


def noise(count: int) -> FloatArray:
    """As loud as audio may be, and finer than the filter's arithmetic."""
    return (16.0 * np.random.default_rng(3).uniform(-1.0, 1.0, count) ** 3).astype(np.float32)


def at_once(samples: FloatArray, rate: int) -> FloatArray:
    return Resampler(rate, TARGET)(samples, last=True)


def tone(frequency: float, rate: int) -> FloatArray:
    """A second of it."""
    return (0.5 * np.sin(2.0 * np.pi * frequency * np.arange(rate) / rate)).astype(np.float32)


def decibels(error: FloatArray) -> float:
    """The largest error within, against a tone's 0.5; the ends see silence beyond the audio."""
    return float(20.0 * np.log10(np.abs(error[2000:-2000]).max() / 0.5))


@pytest.mark.parametrize("rate", RATES)
@given(lengths=st.lists(st.integers(0, 20_000), max_size=8), restored=st.lists(st.booleans(), min_size=9, max_size=9))
def test_pieces_and_restores_change_nothing(rate: int, lengths: list[int], restored: list[bool]) -> None:
    samples = noise(rate)
    pieces = np.split(samples, np.minimum(np.cumsum(lengths), len(samples)).tolist())
    resampler = Resampler(rate, TARGET)
    found = []
    for piece, interrupt in zip(pieces, restored, strict=False):
        if interrupt:
            resampler = Resampler.restore(resampler.state(), TARGET)
        found.append(resampler(piece))
    found.append(resampler(samples[:0], last=True))
    assert Resampler.restore(resampler.state(), TARGET).seconds_taken == resampler.seconds_taken
    np.testing.assert_array_equal(np.concatenate(found), at_once(samples, rate))


@pytest.mark.parametrize("rate", RATES)
def test_single_samples_change_nothing(rate: int) -> None:
    samples, resampler = noise(1000), Resampler(rate, TARGET)
    found = [resampler(sample) for sample in np.split(samples, len(samples))]
    np.testing.assert_array_equal(np.concatenate([*found, resampler(samples[:0], last=True)]), at_once(samples, rate))


@pytest.mark.parametrize("rate", [8_000, 12_345, 44_100])
def test_sums_are_exact(rate: int) -> None:
    """Before they are rounded to float32: products of other shapes add in another order."""
    resampler, filter_ = Resampler(rate, TARGET), filter_of(Ratio.of(rate, TARGET))
    resampler(noise(50))
    samples = np.concatenate([resampler.state().history, np.zeros(300, np.float32)])
    whole = filter_.outputs(samples, 0, 100)
    assert np.abs(whole).max() > 1.0
    for output in range(100):
        start = filter_.first_sample(output) - filter_.first_sample(0)
        assert filter_.outputs(samples[start:], output, 1)[0] == whole[output]


@pytest.mark.parametrize("rate", RATES)
def test_length_follows_the_rates(rate: int) -> None:
    for count in (0, 1, 2, 3, 160, 441, 4001, rate):
        assert len(at_once(noise(count), rate)) == len(soxr.resample(noise(count), rate, TARGET))


@pytest.mark.parametrize(("rate", "most"), [(1_000, 57.0), (8_000, 7.1), (12_345, 4.6), (24_000, 3.6), (44_100, 3.6)])
def test_little_audio_is_held(rate: int, most: float) -> None:
    """In milliseconds, after each call."""
    samples, resampler, given_out = noise(rate), Resampler(rate, TARGET), 0
    for start in range(0, rate, 37):
        given_out += len(resampler(samples[start : start + 37]))
        assert 1e3 * (min(start + 37, rate) / rate - given_out / TARGET) <= most


@pytest.mark.parametrize("rate", [1_001, 8_000, 11_025, 12_345, 22_050, 24_000, 44_100, 48_000, 300_001, 705_600])
def test_tones_pass_in_their_time(rate: int) -> None:
    lower = min(rate, TARGET)
    for share in (0.02, 0.2, 0.44):
        frequency = round(share * lower)
        assert decibels(at_once(tone(frequency, rate), rate) - tone(frequency, TARGET)) < -88.0


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 44_101])
def test_tones_above_the_new_band_vanish(rate: int) -> None:
    for frequency in (8_050, 8_100, 9_000, 11_000):
        assert decibels(at_once(tone(frequency, rate), rate)) < -88.0


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
def test_a_sweep_equals_that_of_another_resampler(rate: int) -> None:
    seconds = np.arange(rate) / rate
    sweep = (0.5 * np.sin(np.pi * 0.44 * min(rate, TARGET) * seconds**2)).astype(np.float32)
    assert decibels(at_once(sweep, rate) - soxr.resample(sweep, rate, TARGET, quality="VHQ")) < -90.0


@pytest.mark.parametrize("rate", [8_000, 44_100])
@pytest.mark.parametrize("consumed", [30, 2_500, 40_000])
def test_goes_on_where_soxr_was(rate: int, consumed: int) -> None:
    """Release 0.1.0 resampled by soxr, which held more, and kept half a second of the input."""
    samples = noise(50_000)
    produced = len(soxr.ResampleStream(rate, TARGET, 1, dtype="float32").resample_chunk(samples[:consumed]))
    kept = rate // 2 + rate // np.gcd(rate, TARGET)
    history = samples[max(consumed - kept, 0) : consumed]
    resampler = Resampler.restore(ResamplerState(rate, consumed, produced, history), TARGET)
    rest = resampler(samples[consumed:], last=True)
    np.testing.assert_array_equal(rest, at_once(samples, rate)[produced:])
