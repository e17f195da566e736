"""The beams of two searches side by side: ours over a backend, and torchaudio's."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from emf.export.graphs.predictor import packed_lstm_state
from emf.runtime.search.emissions import Emissions
from emf.runtime.search.hypothesis import Hypothesis

Beam = list[tuple[tuple[int, ...], float]]
"""Tokens and score of each hypothesis, best first."""


def our_beam(hypotheses: Sequence[Hypothesis]) -> Beam:
    """The beam of our search."""
    return [(hypothesis.tokens, hypothesis.score) for hypothesis in hypotheses]


def their_beam(hypotheses: Sequence[Any]) -> Beam:
    """The beam of `RNNTBeamSearch`, whose hypotheses are (tokens with the initial blank, output, state, score)."""
    return [(tuple(tokens[1:]), score) for tokens, _, _, score in hypotheses]


def same_tokens(ours: Beam, theirs: Beam) -> bool:
    """Whether both hold the same hypotheses and the same is best; the order of the others does not count."""
    return ours[0][0] == theirs[0][0] and dict(ours).keys() == dict(theirs).keys()


def score_error(ours: Beam, theirs: Beam) -> float:
    """Greatest difference of a score; both must hold the same hypotheses."""
    scores = dict(theirs)
    return max(abs(score - scores[tokens]) for tokens, score in ours)


def relative_score_error(ours: Beam, theirs: Beam) -> float:
    """Greatest difference of a score after that of our best hypothesis: what all share decides nothing."""
    scores = dict(theirs)
    errors = [score - scores[tokens] for tokens, score in ours]
    return max(abs(error - errors[0]) for error in errors)


def drift_of(ours: Beam, theirs: Beam) -> float:
    """Difference of the scores of the hypothesis that a tie touched least: what rounding gathered since the start."""
    scores = dict(theirs)
    return min((score - scores[tokens] for tokens, score in ours if tokens in scores), key=abs, default=0.0)


def difference(ours: Beam, theirs: Beam) -> str:
    """What is different, in words."""
    if same_tokens(ours, theirs):
        return f"scores deviate from torchaudio's by {score_error(ours, theirs):.1e}"
    return "beam search gives other tokens than torchaudio's RNNTBeamSearch"


def adopted(theirs: Sequence[Any], ours: Sequence[Hypothesis], drift: float) -> tuple[Hypothesis, ...]:
    """torchaudio's hypotheses, with the backend's own states where it has them, and its `drift` in all scores."""
    known = {hypothesis.tokens: hypothesis for hypothesis in ours}
    hypotheses = []
    for tokens_with_blank, prediction, state, score in theirs:
        tokens = tuple(tokens_with_blank[1:])
        if tokens in known:
            hypotheses.append(known[tokens]._replace(score=score + drift))
            continue
        unknown = (0,) * len(tokens)  # a search only appends to frames and log-probabilities
        lstm_state = packed_lstm_state(state)[0].numpy()
        hypotheses.append(
            Hypothesis(Emissions(tokens, unknown, unknown), score + drift, prediction[0].numpy(), lstm_state)
        )
    return tuple(hypotheses)


def score_rounding(score: float, num_frames: int) -> float:
    """How far rounding alone moves two scores of the same hypothesis apart.

    Both are sums over all frames so far, in float32 as torchaudio keeps them: every addition rounds
    by up to half a unit in the score's last place, and n roundings wander off by its square root of n.
    """
    return 0.5 * float(np.spacing(np.float32(abs(score)))) * math.sqrt(num_frames)
