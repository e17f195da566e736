"""Fit the curve under which confidences mean what they say: of the words given 0.8, eight in ten are right.

Source: Platt, "Probabilistic outputs for support vector machines", 1999, on the logit of the confidence.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from emf.runtime.artifact.confidence import CERTAIN, MAX_OFFSET, MAX_SLOPE, MIN_SLOPE, ConfidenceCurve
from emf.runtime.errors import UsageError

_MAX_STEPS = 100
_FloatArray = npt.NDArray[np.float64]


def fit_confidence_curve(confidences: Sequence[float], correct: Sequence[bool]) -> ConfidenceCurve:
    """The curve under which these words are likeliest.

    Args:
        confidences: raw, one a word.
        correct: whether each word is right.

    Raises:
        UsageError: all words are right, or all wrong, or greater confidence does not go with fewer errors.
    """
    right = np.array(correct, bool)
    num_right, num_wrong = int(right.sum()), int((~right).sum())
    if not num_right or not num_wrong:
        raise UsageError(
            f"expected right words and wrong ones to learn from, found {num_right} and {num_wrong}; take more speech"
        )
    # Platt's targets: a word more of each kind, so that no curve is infinitely steep.
    targets = np.where(right, (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2))
    inside = np.clip(np.array(confidences, np.float64), CERTAIN, 1.0 - CERTAIN)
    design = np.stack([np.log(inside / (1.0 - inside)), np.ones(len(inside))], axis=1)
    slope, offset = (float(value) for value in _logistic_regression(design, targets))
    if not MIN_SLOPE <= slope <= MAX_SLOPE or abs(offset) > MAX_OFFSET:
        raise UsageError(
            f"expected more right words among the more confident ones, found a slope of {slope:.3g}; take more speech"
        )
    return ConfidenceCurve(slope, offset)


def _logistic_regression(design: _FloatArray, targets: _FloatArray) -> _FloatArray:
    """Newton's method with halved steps; the loss is convex."""
    weights: _FloatArray = np.zeros(design.shape[1])
    loss = _log_loss(design @ weights, targets)
    for _ in range(_MAX_STEPS):
        probabilities = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -500.0, 500.0)))
        gradient = design.T @ (probabilities - targets)
        curvature = (design.T * (probabilities * (1.0 - probabilities))) @ design + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        while (new_loss := _log_loss(design @ (weights - step), targets)) > loss and np.abs(step).max() > 1e-9:
            step /= 2.0
        weights = weights - step
        loss = new_loss
        if np.abs(step).max() < 1e-9:
            break
    return weights


def _log_loss(logits: _FloatArray, targets: _FloatArray) -> float:
    return float((np.logaddexp(0.0, logits) - targets * logits).sum())
