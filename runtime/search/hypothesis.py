"""Hypotheses, and the state of a stream's search between two steps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from emf.runtime.arrays import FloatArray
from emf.runtime.guidance.guidance import NO_GUIDANCE, Guidance, Place
from emf.runtime.search.emissions import Emissions


class Hypothesis(NamedTuple):
    """One possible transcript.

    Attributes:
        emissions: tokens since the last commit (`SearchState.num_committed` come before them).
        score: log-probability of the whole, natural logarithm, over all alignments found; with what guides the search.
        prediction: predictor output after the last token, shape (encoding_dim,).
        state: LSTM state after the last token.
        place: where it stands in the stream's guidance.
    """

    emissions: Emissions
    score: float
    prediction: FloatArray
    state: FloatArray
    place: Place = Place()

    @property
    def tokens(self) -> tuple[int, ...]:
        """Ids of its tokens, which identify it among the hypotheses of its stream."""
        return self.emissions.tokens


@dataclass(frozen=True, slots=True)
class SearchState:
    """A stream's search between two steps.

    Attributes:
        hypotheses: the beam, best first.
        num_committed: tokens that all hypotheses shared and that were handed out (`commit`).
        num_frames: encoder frames searched so far.
        guidance: what guides the search of this stream.
    """

    hypotheses: tuple[Hypothesis, ...]
    num_committed: int = 0
    num_frames: int = 0
    guidance: Guidance = NO_GUIDANCE

    @property
    def best(self) -> Hypothesis:
        """The first hypothesis."""
        return self.hypotheses[0]

    def after(self, hypotheses: Sequence[Hypothesis], num_frames: int) -> "SearchState":
        """The state with new hypotheses after `num_frames` more frames."""
        return replace(self, hypotheses=tuple(hypotheses), num_frames=self.num_frames + num_frames)

    def guided_by(self, guidance: Guidance) -> "SearchState":
        """The state of a stream that begins, with another guidance."""
        hypotheses = tuple(h._replace(place=guidance.root) for h in self.hypotheses)
        return replace(self, hypotheses=hypotheses, guidance=guidance)

    def extend(
        self,
        base: Hypothesis,
        token: int,
        frame: int,
        log_prob: float,
        score: float,
        predicted: tuple[FloatArray, FloatArray],
    ) -> Hypothesis:
        """`base` with one more token, emitted at an encoder frame."""
        place = self.guidance.advance(base.place, token) if self.guidance else base.place
        return Hypothesis(base.emissions.followed_by(token, frame, log_prob), score, *predicted, place)


def ranked(hypotheses: Iterable[Hypothesis], num_committed: int, length_offset: int) -> list[Hypothesis]:
    """Hypotheses by score / (number of tokens + `length_offset`), best first."""
    length = num_committed + length_offset
    return sorted(hypotheses, key=lambda h: h.score / (len(h.tokens) + length), reverse=True)


def within_threshold(hypotheses: Sequence[Hypothesis], beam_threshold: float) -> list[Hypothesis]:
    """Those at most `beam_threshold` below the best score, in their order."""
    floor = max(h.score for h in hypotheses) - beam_threshold
    return [h for h in hypotheses if not h.score < floor]
