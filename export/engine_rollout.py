"""One engine beside the reference, chunk after chunk: its own encoder states, its own search."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from emf.export.deviations import Deviations
from emf.export.model import SourceModel
from emf.export.paired_search import PairedSearch
from emf.export.reference import ReferenceStep
from emf.runtime.beam_search import beam_search
from emf.runtime.search import Hypothesis, SearchOptions, SearchState
from emf.runtime.search_loop import initial_search_state, run_searches
from emf.runtime.session import FloatArray
from emf.runtime.transducer import EncoderState, Transducer

SCORE_TOLERANCE = {"float32": 1e-3, "float16": 1e-2}
"""How far log-probabilities may lie apart, by the precision of the encoder's cache."""

_REPETITIONS = 16
"""How often torchaudio's search is repeated, each time rounded otherwise, to find the beam of an engine."""

Beam = Sequence[tuple[tuple[int, ...], float]]
"""Tokens and score of each hypothesis, best first."""


@dataclass(frozen=True)
class Tie:
    """A chunk at which rounding decided which hypotheses stay, or which is best.

    Attributes:
        backend: the engine.
        chunk: index of the chunk.
        difference: greatest difference between a number that the engine's search decided by and torchaudio's:
            log-probabilities, and scores before the chunk relative to the best one's.
    """

    backend: str
    chunk: int
    difference: float


class EngineRollout:
    """One engine following the reference.

    Attributes:
        transducer: the engine's graphs.
        deviations: of its tensors.
        score_error: greatest difference of a hypothesis' score, where no tie stood before.
        ties: chunks that rounding decided. After one of these the engine goes on from torchaudio's hypotheses.
        mistake: what is wrong with the search; `None` while nothing is.
    """

    def __init__(self, source: SourceModel, transducer: Transducer, deviations: Deviations, beam_width: int) -> None:
        """Begin a stream."""
        self.transducer, self.deviations = transducer, deviations
        self.score_error = 0.0
        self.ties: list[Tie] = []
        self.mistake: str | None = None
        self._source, self._options = source, SearchOptions(beam_width=beam_width)
        self._encoder_state = transducer.initial_encoder_state()
        halves = any(tensor.dtype == "float16" for tensor in transducer.graphs["encoder"].inputs)
        self._score_tolerance = SCORE_TOLERANCE["float16" if halves else "float32"]
        start = transducer.initial_predictor_state()
        self._search_state = initial_search_state(transducer, transducer.blank_id, start)

    def follow(self, step: ReferenceStep, index: int) -> None:
        """Decode the chunk of `step` and compare everything.

        Raises:
            ToleranceError: naming the first tensor that leaves the tolerance.
        """
        place = f"chunk {index}"
        encoding = self.transducer.encode(step.features[None], [self._encoder_state])[0]
        self.deviations.compare("encoder.encoding", encoding, step.encoding, place)
        for name, expected in step.states.items():
            found = in_time_order(self._encoder_state, self.transducer, name)
            self.deviations.compare(f"encoder.{name}", found, expected, place)
        before = self._search_state
        search = beam_search(encoding, before, self._options)
        (self._search_state,) = run_searches([search], self.transducer, self._options)
        if self.mistake is None:
            self._compare_hypotheses(step, index, encoding, before)

    def _compare_hypotheses(self, step: ReferenceStep, index: int, encoding: FloatArray, before: SearchState) -> None:
        ours = [(h.tokens, h.score) for h in self._search_state.hypotheses]
        theirs = [(tuple(h[0][1:]), h[3]) for h in step.hypotheses]
        if self._agree(ours, theirs):
            self.score_error = max(self.score_error, _score_error(ours, theirs))
            return
        search = self._repeated_by_torchaudio(ours, encoding, step, before)
        drift, rounding = _drift(ours, theirs), self._rounding(ours)
        if search is None:
            self.mistake = f"{_difference(ours, theirs)} at chunk {index}, from the same log-probabilities"
        elif not search.deviation <= self._score_tolerance:
            self.mistake = (
                f"{_difference(ours, theirs)} at chunk {index}, where log-probabilities deviate by "
                f"{search.deviation:.1e}, more than the {self._score_tolerance:.0e} that rounding explains"
            )
        elif not abs(drift) <= rounding:
            self.mistake = f"scores deviate from torchaudio's by {abs(drift):.1e} at chunk {index}"
        elif _same_tokens(ours, theirs) and _score_error(ours, theirs) <= 2.0 * rounding:
            # No alignment more or less: that rounding should allow as much again in a single chunk is out of question.
            self.mistake = f"{_difference(ours, theirs)} at chunk {index}"
        else:
            apart = max(search.deviation, _relative_score_error(before.hypotheses, step.hypotheses_before))
            self.ties.append(Tie(self.deviations.backend, index, apart))
            hypotheses = adopted(step.hypotheses, self._search_state.hypotheses, drift)
            self._search_state = replace(self._search_state, hypotheses=hypotheses)

    def _repeated_by_torchaudio(
        self, ours: Beam, encoding: FloatArray, step: ReferenceStep, before: SearchState
    ) -> PairedSearch | None:
        """torchaudio's search that finds `ours` too: from the engine's hypotheses, over its numbers but for a last place."""
        last_place = float(np.spacing(np.float32(abs(ours[0][1]))))
        for seed in range(_REPETITIONS):
            jitter = last_place if seed else 0.0
            search = PairedSearch(self._source, self.transducer, self._options.beam_width, jitter, seed)
            found = search.run((encoding, step.encoding), before.hypotheses, step.hypotheses_before)
            if self._agree(ours, found):
                return search
        return None

    def _agree(self, ours: Beam, theirs: Beam) -> bool:
        """Whether two beams are the same but for the rounding of scores; the order below the best does not count."""
        return _same_tokens(ours, theirs) and _score_error(ours, theirs) <= self._rounding(ours)

    def _rounding(self, beam: Beam) -> float:
        """How far the scores of a beam may lie from torchaudio's."""
        return self._score_tolerance + score_rounding(beam[0][1], self._search_state.num_frames)


def _same_tokens(ours: Beam, theirs: Beam) -> bool:
    return ours[0][0] == theirs[0][0] and {tokens for tokens, _ in ours} == {tokens for tokens, _ in theirs}


def _drift(ours: Beam, theirs: Beam) -> float:
    """Difference of the scores of the hypothesis that a tie touched least: what rounding gathered since the start."""
    scores = dict(theirs)
    return min((score - scores[tokens] for tokens, score in ours if tokens in scores), key=abs, default=0.0)


def _score_error(ours: Beam, theirs: Beam) -> float:
    scores = dict(theirs)
    return max(abs(score - scores[tokens]) for tokens, score in ours)


def _relative_score_error(ours: Sequence[Hypothesis], theirs: Sequence[Any]) -> float:
    """Greatest difference of scores after that of the best hypothesis: what all share decides nothing."""
    scores = {tuple(hypothesis[0][1:]): hypothesis[3] for hypothesis in theirs}
    errors = [hypothesis.score - scores[hypothesis.tokens] for hypothesis in ours]
    return float(max(abs(error - errors[0]) for error in errors))


def _difference(ours: Beam, theirs: Beam) -> str:
    if _same_tokens(ours, theirs):
        return f"scores deviate from torchaudio's by {_score_error(ours, theirs):.1e}"
    return "beam search gives other tokens than torchaudio's RNNTBeamSearch"


def adopted(theirs: Sequence[Any], ours: Sequence[Hypothesis], drift: float) -> tuple[Hypothesis, ...]:
    """torchaudio's hypotheses, with the engine's own states where it has them, and its `drift` in all scores."""
    known = {hypothesis.tokens: hypothesis for hypothesis in ours}
    hypotheses = []
    for tokens_with_blank, prediction, state, score in theirs:
        tokens = tuple(tokens_with_blank[1:])
        if tokens in known:
            hypotheses.append(known[tokens]._replace(score=score + drift))
            continue
        packed = torch.stack([torch.stack(layer, dim=1) for layer in state], dim=1)
        untold = (0,) * len(tokens)  # a search only appends to times and log-probabilities
        hypotheses.append(Hypothesis(tokens, untold, untold, score + drift, prediction[0].numpy(), packed[0].numpy()))
    return tuple(hypotheses)


def score_rounding(score: float, num_frames: int) -> float:
    """How far rounding alone moves two scores of the same hypothesis apart.

    Both are sums over all frames so far, in float32 as torchaudio keeps them: every addition rounds
    by up to half a unit in the score's last place, and n roundings wander off by its square root of n.
    """
    return 0.5 * float(np.spacing(np.float32(abs(score)))) * math.sqrt(num_frames)


def in_time_order(state: EncoderState, transducer: Transducer, name: str) -> FloatArray:
    """A state tensor with its ring unrolled, oldest entries first."""
    (spec,) = (spec for spec in transducer.graphs["encoder"].states if spec.input == name)
    array = state.arrays[name].astype(np.float32)
    if spec.update == "replace":
        return array
    output = next(t for t in transducer.graphs["encoder"].outputs if t.name == spec.output)
    return np.roll(array, -state.steps * int(output.shape[spec.axis] or 1), axis=spec.axis)
