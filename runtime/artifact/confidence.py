"""A curve from a word's raw confidence to the probability that the word is right: Platt scaling of its logit."""

from dataclasses import dataclass
from math import exp, log

MIN_SLOPE, MAX_SLOPE = 1e-6, 100.0
MAX_OFFSET = 100.0
CERTAIN = 1e-6
"""Confidences are kept this far from 0 and 1, where the logit is infinite."""


@dataclass(frozen=True, slots=True)
class ConfidenceCurve:
    """A rising curve from a word's raw confidence to the probability that it is right.

    Attributes:
        slope: multiplies the logit of the raw confidence; positive, so that the order of words stays.
        offset: added to it.
    """

    slope: float
    offset: float

    def __call__(self, confidence: float) -> float:
        """The calibrated confidence of a raw one, both in [0, 1]."""
        inside = min(max(confidence, CERTAIN), 1.0 - CERTAIN)
        logit = self.slope * log(inside / (1.0 - inside)) + self.offset
        return 1.0 / (1.0 + exp(-logit)) if logit >= 0.0 else exp(logit) / (1.0 + exp(logit))
