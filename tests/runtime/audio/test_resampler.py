"""Resampling in any pieces, interrupted and restored at any place, gives the same samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.resampler import Resampler

RATES = [8_000, 11_025, 16_000, 44_100, 96_000]
# A restored filter has summed the same products in another order.
ROUNDING = 1e-6


def noise(count: int) -> FloatArray:
    return (0.1 * np.random.default_rng(3).standard_normal(count)).astype(np.float32)


def at_once(samples: FloatArray, rate: int) -> FloatArray:
    resampler = Resampler(rate, 16_000)
    return np.concatenate([resampler(samples), resampler(samples[:0], last=True)])


@pytest.mark.parametrize("rate", RATES)
@given(lengths=st.lists(st.integers(0, 20_000), max_size=8), restored=st.lists(st.booleans(), min_size=9, max_size=9))
def test_pieces_and_restores_change_nothing(rate: int, lengths: list[int], restored: list[bool]) -> None:
    samples = noise(rate)
    pieces = np.split(samples, np.minimum(np.cumsum(lengths), len(samples)).tolist())
    resampler = Resampler(rate, 16_000)
    found = []
    for piece, interrupt in zip(pieces, restored, strict=False):
        if interrupt:
            resampler = Resampler.restore(resampler.state(), 16_000)
        found.append(resampler(piece))
    found.append(resampler(samples[:0], last=True))
    whole = at_once(samples, rate)
    result = np.concatenate(found)
    assert len(result) == len(whole)
    np.testing.assert_allclose(result, whole, atol=ROUNDING)


def test_length_follows_the_rates() -> None:
    assert [len(at_once(noise(rate), rate)) for rate in RATES] == [16_000] * len(RATES)


def test_a_tone_keeps_its_pitch() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(at_once(tone, 44_100)))
    assert int(spectrum.argmax()) == 440
