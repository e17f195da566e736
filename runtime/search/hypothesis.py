"""What every search shares: options, hypotheses, and what a search asks of the model.

A search is a generator over the frames of one stream: it yields what it wants from the model
(`Join`, `Extend`) and is sent the answer, so it reads like the paper. `search_loop` gathers the
requests of all streams.
"""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.errors import UsageError
from emf.runtime.guidance.biasing import Biasing, BiasNode
from emf.runtime.guidance.fusion import Fusion, WordPlace
from emf.runtime.search.model import Joined


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search.

    Attributes:
        beam_width: hypotheses kept from frame to frame.
        step_max_tokens: tokens emitted at one frame at the most.
        temperature: divides the logits; greater values flatten the distribution.
        blank_penalty: subtracted from the blank's logit; positive values give fewer deletions.
        beam_threshold: hypotheses whose score lies further below the best one's are dropped, natural logarithm.
        look_ahead: join hypotheses with later frames, too, see `JoinTable`; changes no result.
    """

    beam_width: int = 10
    step_max_tokens: int = 100
    temperature: float = 1.0
    blank_penalty: float = 0.0
    beam_threshold: float = math.inf
    look_ahead: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.beam_width <= 1000:
            raise UsageError(f"expected a beam width from 1 to 1000, found {self.beam_width}")
        if not 1 <= self.step_max_tokens <= 10_000:
            raise UsageError(f"expected step_max_tokens from 1 to 10000, found {self.step_max_tokens}")
        if not 0.01 <= self.temperature <= 100.0:
            raise UsageError(f"expected a temperature from 0.01 to 100, found {self.temperature}")
        if not -100.0 <= self.blank_penalty <= 100.0:
            raise UsageError(f"expected a blank penalty from -100 to 100, found {self.blank_penalty}")
        if not self.beam_threshold > 0.0:
            raise UsageError(f"expected a beam threshold above 0, found {self.beam_threshold}")


GUIDED_CANDIDATES = 16
"""Symbols a hypothesis that a search with phrases or a language model looks at: as many as the joiner graph ranks."""


class Hypothesis(NamedTuple):
    """One possible transcript.

    Attributes:
        tokens: ids since the last commit (`SearchState.committed` come before them).
        timestamps: encoder frame at which each was emitted.
        log_probs: log-probability with which each was emitted.
        score: log-probability of the whole, natural logarithm, over all alignments found.
        prediction: predictor output after the last token, shape (encoding_dim,).
        state: LSTM state after the last token.
        bias: place in the stream's `Biasing`; `None` without one. Its bonus is part of the score.
        word: place in the stream's `Fusion`; `None` without one. The words that ended are part of the score.
    """

    tokens: tuple[int, ...]
    timestamps: tuple[int, ...]
    log_probs: tuple[float, ...]
    score: float
    prediction: FloatArray
    state: FloatArray
    bias: BiasNode | None = None
    word: WordPlace | None = None


@dataclass(frozen=True, slots=True)
class SearchState:
    """A stream's search between two steps: hypotheses, best first, and what they no longer dispute.

    Attributes:
        hypotheses: the beam.
        num_committed: tokens that all hypotheses share and that were handed out (`commit`).
        num_frames: encoder frames searched so far.
        biasing: phrases that are likelier in this stream.
        fusion: language model of this stream.
    """

    hypotheses: tuple[Hypothesis, ...]
    num_committed: int = 0
    num_frames: int = 0
    biasing: Biasing | None = None
    fusion: Fusion | None = None

    def after(self, hypotheses: Sequence[Hypothesis], num_frames: int) -> "SearchState":
        """The state with new hypotheses after `num_frames` more frames."""
        return replace(self, hypotheses=tuple(hypotheses), num_frames=self.num_frames + num_frames)


class Join(NamedTuple):
    """Ask for the log-probabilities of the blank and of the best `top_k` symbols.

    At each of the `frames`, shape (m, encoding_dim), for each of n `predictions`; the answer has m times n rows, those
    of the first frame first.
    """

    frames: FloatArray
    predictions: Sequence[FloatArray]
    top_k: int


class Extend(NamedTuple):
    """Ask for the predictions after one more token each."""

    tokens: Sequence[int]
    states: Sequence[FloatArray]


Predicted: TypeAlias = list[tuple[FloatArray, FloatArray]]
Search: TypeAlias = Generator[Join | Extend, Joined | Predicted, SearchState]
SearchMethod: TypeAlias = Callable[[FloatArray, SearchState, SearchOptions], Search]


def num_candidates(state: SearchState, options: SearchOptions) -> int:
    """How many symbols of each hypothesis to look at: no more can survive, unless something reorders them."""
    guided = state.biasing is not None or state.fusion is not None
    return max(options.beam_width, GUIDED_CANDIDATES) if guided else options.beam_width


def extension_gains(active: Sequence[Hypothesis], joined: Joined, state: SearchState) -> FloatArray:
    """What each of its best symbols adds to the score of every active hypothesis, shape (n, k), float32."""
    gains, biasing, fusion = joined.top, state.biasing, state.fusion
    if biasing is not None:
        bonus = [
            [biasing.advance(h.bias or biasing.root, token)[1] for token in ids]
            for h, ids in zip(active, joined.top_ids.tolist(), strict=True)
        ]
        gains = gains + np.array(bonus, np.float32)
    if fusion is not None:
        gains = gains + fusion.gains([h.word or fusion.root for h in active], joined.top_ids)
    return gains


def extend(
    base: Hypothesis,
    token: int,
    time: int,
    log_prob: float,
    score: float,
    predicted: tuple[FloatArray, FloatArray],
    state: SearchState,
) -> Hypothesis:
    """`base` with one more token, emitted at encoder frame `time`."""
    biasing, fusion = state.biasing, state.fusion
    return Hypothesis(
        (*base.tokens, token),
        (*base.timestamps, time),
        (*base.log_probs, log_prob),
        score,
        *predicted,
        None if biasing is None else biasing.advance(base.bias or biasing.root, token)[0],
        None if fusion is None else fusion.advance(base.word or fusion.root, token),
    )


def ranked(hypotheses: Iterable[Hypothesis], num_committed: int, length_offset: int) -> list[Hypothesis]:
    """Hypotheses by score / (number of tokens + `length_offset`), best first."""
    length = num_committed + length_offset
    return sorted(hypotheses, key=lambda h: h.score / (len(h.tokens) + length), reverse=True)


def within_threshold(hypotheses: Sequence[Hypothesis], options: SearchOptions) -> list[Hypothesis]:
    """Those that lie at most `beam_threshold` below the best score, in their order."""
    floor = max(h.score for h in hypotheses) - options.beam_threshold
    return [h for h in hypotheses if not h.score < floor]


def end_words(state: SearchState, length_offset: int) -> SearchState:
    """The state where the stream ends, and with it the word that is open in each hypothesis; for reading only."""
    if state.fusion is None:
        return state
    ended = [h._replace(score=h.score + h.word.ending) if h.word else h for h in state.hypotheses]
    return replace(state, hypotheses=tuple(ranked(ended, state.num_committed, length_offset)))


def common_prefix_length(hypotheses: Sequence[Hypothesis]) -> int:
    """How many leading tokens all hypotheses share."""
    shortest = min((h.tokens for h in hypotheses), key=len)
    for index, token in enumerate(shortest):
        if any(h.tokens[index] != token for h in hypotheses):
            return index
    return len(shortest)


def settle(state: SearchState, frame: int) -> SearchState:
    """Drop the hypotheses that still disagree with the best one on a token that it emitted before `frame`."""
    best = state.hypotheses[0]
    count = sum(timestamp < frame for timestamp in best.timestamps)
    agreeing = tuple(h for h in state.hypotheses if h.tokens[:count] == best.tokens[:count])
    return replace(state, hypotheses=agreeing)


def commit(state: SearchState, count: int) -> SearchState:
    """Forget the first `count` tokens, which all hypotheses share; the caller keeps them."""
    if count == 0:
        return state
    hypotheses = tuple(
        h._replace(tokens=h.tokens[count:], timestamps=h.timestamps[count:], log_probs=h.log_probs[count:])
        for h in state.hypotheses
    )
    return replace(state, hypotheses=hypotheses, num_committed=state.num_committed + count)
