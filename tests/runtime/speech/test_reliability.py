"""Reliability against sums written out, and calibration judged on words that it has not seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.artifact.confidence import ConfidenceCurve
from emf.runtime.speech.confidence_fit import fit_confidence_curve
from emf.runtime.speech.reliability import HeardWords, cross_calibrated, measure_reliability
from tests.runtime.speech.test_confidence_fit import words

heard = st.lists(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), max_size=5).map(
        lambda pairs: HeardWords(tuple(c for c, _ in pairs), tuple(r for _, r in pairs))
    ),
    max_size=5,
)


def recordings(truth: ConfidenceCurve, count: int, length: int = 5) -> list[HeardWords]:
    raw, correct = words(truth, count * length)
    spans = [slice(start, start + length) for start in range(0, len(raw), length)]
    return [HeardWords(tuple(raw[span]), tuple(correct[span])) for span in spans]


@given(heard=heard, num_bins=st.integers(1, 7))
def test_bins_and_error_are_those_of_the_definition(heard: list[HeardWords], num_bins: int) -> None:
    pairs = [pair for one in heard for pair in zip(one.confidences, one.correct, strict=True)]
    found = measure_reliability(heard, num_bins)
    gaps = 0.0
    counts = []
    for place in range(num_bins):
        inside = [pair for pair in pairs if min(int(pair[0] * num_bins), num_bins - 1) == place]
        if inside:
            counts.append(len(inside))
            gaps += abs(sum(c for c, _ in inside) - sum(r for _, r in inside))
    assert [one.count for one in found.bins] == counts
    assert sum(counts) == len(pairs)
    assert found.expected_calibration_error == pytest.approx(gaps / max(len(pairs), 1))
    assert all(one.low <= one.confidence <= one.high + 1e-9 for one in found.bins)


def test_an_example() -> None:
    found = measure_reliability([HeardWords((0.2, 0.4, 1.0), (False, True, True)), HeardWords((), ())], 2)
    assert [(one.count, one.accuracy) for one in found.bins] == [(2, 0.5), (1, 1.0)]
    assert [one.confidence for one in found.bins] == pytest.approx([0.3, 1.0])
    assert found.expected_calibration_error == pytest.approx((2 * 0.2 + 0.0) / 3)


def test_calibration_makes_unseen_words_reliable() -> None:
    before = recordings(ConfidenceCurve(0.5, 1.5), 1000)
    after = cross_calibrated(before, 10)
    assert measure_reliability(before, 10).expected_calibration_error > 0.1
    assert measure_reliability(after, 10).expected_calibration_error < 0.03
    assert [one.correct for one in after] == [one.correct for one in before]


def test_a_recording_is_calibrated_by_the_others_alone() -> None:
    given_ones = recordings(ConfidenceCurve(0.5, 0.5), 40)
    after = cross_calibrated(given_ones, 4)
    others = [one for index, one in enumerate(given_ones) if index % 4 != 2]
    curve = fit_confidence_curve(
        [c for one in others for c in one.confidences], [c for one in others for c in one.correct]
    )
    assert after[6].confidences == tuple(map(curve, given_ones[6].confidences))
