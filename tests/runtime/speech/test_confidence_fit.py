"""Calibration: the curve that made the data is found again, it rises, and nothing is likelier than it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import UsageError
from emf.runtime.artifact.confidence import ConfidenceCurve
from emf.runtime.speech.confidence_fit import fit_confidence_curve


def words(calibration: ConfidenceCurve, count: int, seed: int = 0) -> tuple[list[float], list[bool]]:
    """Words whose raw confidences are off in a known way."""
    random = np.random.default_rng(seed)
    raw = random.beta(2.0, 1.0, count).tolist()
    return raw, [bool(random.random() < calibration(confidence)) for confidence in raw]


@pytest.mark.parametrize("truth", [ConfidenceCurve(0.5, 1.5), ConfidenceCurve(1.0, 0.0), ConfidenceCurve(2.0, -1.0)])
def test_the_curve_behind_the_data_is_found(truth: ConfidenceCurve) -> None:
    found = fit_confidence_curve(*words(truth, 50_000))
    assert found.slope == pytest.approx(truth.slope, rel=0.05)
    assert found.offset == pytest.approx(truth.offset, abs=0.06)


def test_no_curve_nearby_is_likelier() -> None:
    """Against the likelihood, written out."""
    raw, correct = words(ConfidenceCurve(0.6, 0.8), 300)
    right = sum(correct)
    targets = [(right + 1) / (right + 2) if c else 1 / (300 - right + 2) for c in correct]

    def loss(curve: ConfidenceCurve) -> float:
        chances = [curve(confidence) for confidence in raw]
        return -sum(t * math.log(p) + (1 - t) * math.log(1 - p) for t, p in zip(targets, chances, strict=True))

    found = fit_confidence_curve(raw, correct)
    for slope, offset in [(0.01, 0.0), (-0.01, 0.0), (0.0, 0.01), (0.0, -0.01), (0.01, -0.01)]:
        assert loss(found) < loss(ConfidenceCurve(found.slope + slope, found.offset + offset))


@given(
    slope=st.floats(1e-6, 100.0),
    offset=st.floats(-100.0, 100.0),
    confidences=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=10),
)
def test_curves_rise_and_stay_between_0_and_1(slope: float, offset: float, confidences: list[float]) -> None:
    curve = ConfidenceCurve(slope, offset)
    values = [curve(confidence) for confidence in sorted(confidences)]
    assert values == sorted(values)
    assert all(0.0 <= value <= 1.0 for value in values)


def test_the_curve_of_slope_1_and_offset_0_changes_nothing() -> None:
    assert [ConfidenceCurve(1.0, 0.0)(c) for c in (0.25, 0.5, 0.9)] == pytest.approx([0.25, 0.5, 0.9])


@pytest.mark.parametrize(
    ("confidences", "correct"),
    [
        ([], []),
        ([0.1, 0.9], [True, True]),
        ([0.1, 0.9], [False, False]),
        ([0.1, 0.2, 0.8, 0.9], [True, True, False, False]),
        ([0.5] * 4, [True, False] * 2),
    ],
    ids=["none", "all right", "all wrong", "upside down", "all alike"],
)
def test_words_that_teach_nothing_are_refused(confidences: list[float], correct: list[bool]) -> None:
    with pytest.raises(UsageError, match="take more speech"):
        fit_confidence_curve(confidences, correct)


def test_words_that_can_be_told_apart_give_a_finite_curve() -> None:
    curve = fit_confidence_curve([0.2, 0.3, 0.7, 0.8] * 5, [False, False, True, True] * 5)
    assert 0.0 < curve(0.3) < 0.3 and 0.7 < curve(0.7) < 1.0
