"""How far confidences can be trusted: bins of words, their mean confidence beside the share that is right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emf.runtime.speech.confidence_fit import fit_confidence_curve


@dataclass(frozen=True, slots=True)
class HeardWords:
    """The words heard in one recording.

    Attributes:
        confidences: one a word.
        correct: whether each word stands in the reference, too.
    """

    confidences: tuple[float, ...]
    correct: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Bin:
    """The words whose confidence lies in [low, high): how many, their mean confidence, the share that is right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins that have words, and the expected calibration error: how far they are off, weighted by their counts.

    Source of the error: Guo et al., "On calibration of modern neural networks", 2017.
    """

    bins: tuple[Bin, ...]
    expected_calibration_error: float


def measure_reliability(recordings: Sequence[HeardWords], num_bins: int) -> Reliability:
    """Sort words into bins of equal width; a confidence of 1 belongs to the last."""
    confidences = np.array([c for words in recordings for c in words.confidences], np.float64)
    correct = np.array([c for words in recordings for c in words.correct], np.float64)
    places = np.minimum((confidences * num_bins).astype(int), num_bins - 1)
    bins = []
    for place in np.unique(places).tolist():
        inside = places == place
        mean, share = float(confidences[inside].mean()), float(correct[inside].mean())
        bins.append(Bin(place / num_bins, (place + 1) / num_bins, int(inside.sum()), mean, share))
    gaps = sum(found.count * abs(found.confidence - found.accuracy) for found in bins)
    return Reliability(tuple(bins), gaps / max(len(confidences), 1))


def cross_calibrated(recordings: Sequence[HeardWords], num_folds: int) -> list[HeardWords]:
    """The same words with confidences calibrated by curves that were fitted on other recordings.

    Raises:
        UsageError: there are too few right or wrong words to fit a curve for every fold.
    """
    calibrated = list(recordings)
    folds = min(num_folds, len(recordings))
    for fold in range(folds):
        others = [words for index, words in enumerate(recordings) if index % folds != fold]
        curve = fit_confidence_curve([c for w in others for c in w.confidences], [c for w in others for c in w.correct])
        for index in range(fold, len(recordings), folds):
            words = recordings[index]
            calibrated[index] = HeardWords(tuple(map(curve, words.confidences)), words.correct)
    return calibrated
