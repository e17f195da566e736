"""What the searches of a batch of streams meet in one step: prefixes, and the ways they were emitted.

A prefix is a sequence of tokens of one stream. It has one prediction and one LSTM state, whichever hypothesis asks for
them. A path is how a hypothesis emitted its tokens: at which frames, how probably. Both are numbers here, so that a
search is arithmetic on arrays; `Prefixes.hypothesis` makes values of them again when the step ends.
"""

from collections.abc import Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from emf.runtime.arrays import FloatArray, IdArray
from emf.runtime.search.emissions import Emissions
from emf.runtime.search.hypothesis import Hypothesis, SearchState
from emf.runtime.search.model import Joined, Model
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import penalize_blank

NONE = -1
"""In place of the number of a prefix, where there is none."""
IntArray: TypeAlias = npt.NDArray[np.int64]
KeyArray: TypeAlias = npt.NDArray[np.uint64]

_FACTOR = 0x9E3779B97F4A7C15
"""A prefix's key is the polynomial in this of its stream and its tokens, modulo 2**64. Two prefixes of one step have
the same key less often than once in 10**12 steps."""


class Prefixes:
    """The prefixes and paths of one step of a batch of streams.

    The first prefixes and paths are those of the hypotheses of the first stream, then those of the second, and so on.

    Attributes:
        lengths: number of tokens of every prefix since the last commit.
    """

    def __init__(self, states: Sequence[SearchState], model: Model, options: SearchOptions) -> None:
        """Begin a step with the states of the streams."""
        self._states, self._model, self._options = states, model, options
        self._hypotheses = [h for state in states for h in state.hypotheses]
        self._guided = [stream for stream, state in enumerate(states) if state.guidance]
        self.lengths: IntArray = np.array([len(h.emissions) for h in self._hypotheses], np.int64)
        self._keys = _keys(states, self.lengths)
        self._numbers = {key: number for number, key in enumerate(self._keys.tolist())}
        self._predictions = np.array([h.prediction for h in self._hypotheses])  # with room for more behind them
        self._lstm_states = [h.state[None] for h in self._hypotheses]
        self._places = [h.place for h in self._hypotheses]
        self._emissions = {number: h.emissions for number, h in enumerate(self._hypotheses)}
        self._parents = [-1] * len(self._hypotheses)
        self._emitted = [(0, 0, 0.0)] * len(self._hypotheses)

    def join(self, frames: FloatArray, prefixes: IntArray, top_k: int) -> Joined:
        """Log-probabilities of the next symbol for n prefixes, each at its own frame, shape (n, encoding_dim)."""
        joined = self._model.join(frames, self._predictions[prefixes], self._options.temperature, top_k)
        return penalize_blank(joined, self._options.blank_penalty) if self._options.blank_penalty else joined

    def gains(self, joined: Joined, prefixes: IntArray, streams: IntArray) -> FloatArray:
        """What each of its best symbols adds to the score of n prefixes of some streams, shape (n, k)."""
        gains = joined.top
        for stream in self._guided:
            rows = np.flatnonzero(streams == stream)
            if len(rows):
                gains = gains.copy() if gains is joined.top else gains
                places = [self._places[number] for number in prefixes[rows].tolist()]
                guidance = self._states[stream].guidance
                gains[rows] = guidance.guided(joined.top[rows], places, joined.top_ids[rows])
        return gains

    def extend(self, bases: IntArray, tokens: IdArray, streams: IntArray) -> IntArray:
        """The numbers of n prefixes, all different, predicted where the step has not met them before.

        Args:
            bases: the prefixes without their last token.
            tokens: their last tokens.
            streams: whose they are.
        """
        keys = self._keys[bases] * np.uint64(_FACTOR) + tokens.astype(np.uint64) + np.uint64(1)
        numbers = np.array([self._numbers.get(key, -1) for key in keys.tolist()], np.int64)
        missing = np.flatnonzero(numbers < 0)
        if len(missing):
            numbers[missing] = self._predict(bases[missing], tokens[missing], streams[missing])
            self._keys = np.concatenate([self._keys, keys[missing]])
            self._numbers.update(zip(keys[missing].tolist(), numbers[missing].tolist(), strict=True))
        return numbers

    def _predict(self, bases: IntArray, tokens: IdArray, streams: IntArray) -> IntArray:
        before = bases.tolist()
        states = np.concatenate([self._lstm_states[number] for number in before])
        predictions, new_states = self._model.predict(tokens, states)
        first = len(self.lengths)
        self.lengths = np.concatenate([self.lengths, self.lengths[bases] + 1])
        missing = len(self.lengths) - len(self._predictions)
        if missing > 0:
            room = np.empty((max(missing, first), *predictions.shape[1:]), predictions.dtype)
            self._predictions = np.concatenate([self._predictions, room])
        self._predictions[first : len(self.lengths)] = predictions
        self._lstm_states += list(new_states[:, None])
        self._places += [self._places[number] for number in before]
        for stream in self._guided:
            guidance = self._states[stream].guidance
            for row in np.flatnonzero(streams == stream).tolist():
                self._places[first + row] = guidance.advance(self._places[first + row], int(tokens[row]))
        return np.arange(first, first + len(tokens))

    def emit(self, paths: IntArray, tokens: IdArray, frames: IntArray, log_probs: FloatArray) -> IntArray:
        """The numbers of n paths that emit one more token each, at a frame, with a log-probability."""
        first = len(self._parents)
        self._parents += paths.tolist()
        self._emitted += zip(tokens.tolist(), frames.tolist(), log_probs.tolist(), strict=True)
        return np.arange(first, first + len(paths))

    def hypothesis(self, prefix: int, path: int, score: float) -> Hypothesis:
        """A hypothesis as a value that owns its arrays."""
        place = self._places[prefix]
        if prefix < len(self._hypotheses):
            known = self._hypotheses[prefix]
            emissions = known.emissions if path == prefix else self._emissions_of(path)
            return Hypothesis(emissions, score, known.prediction, known.state, place)
        # Copies: a view of one row would keep the whole batch alive as long as its hypothesis lives.
        prediction, state = self._predictions[prefix].copy(), self._lstm_states[prefix][0].copy()
        return Hypothesis(self._emissions_of(path), score, prediction, state, place)

    def _emissions_of(self, path: int) -> Emissions:
        new = []
        while path not in self._emissions:
            new.append(path)
            path = self._parents[path]
        known = self._emissions[path]
        for number in reversed(new):
            known = self._emissions[number] = known.followed_by(*self._emitted[number])
        return known


def _keys(states: Sequence[SearchState], lengths: IntArray) -> KeyArray:
    """Key of the prefix of every hypothesis: its stream's number and its tokens are the digits."""
    streams = np.array([stream + 1 for stream, state in enumerate(states) for _ in state.hypotheses], np.uint64)
    tokens = chain.from_iterable(h.tokens for state in states for h in state.hypotheses)
    digits = np.fromiter(tokens, np.uint64, int(lengths.sum())) + np.uint64(1)
    powers = np.full(int(lengths.max()) + 1, _FACTOR, np.uint64)
    powers[0] = 1
    powers = np.multiply.accumulate(powers)
    ends = np.cumsum(lengths)
    exponents = np.repeat(ends, lengths) - 1 - np.arange(len(digits))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(digits * powers[exponents], dtype=np.uint64)])
    keys: KeyArray = streams * powers[lengths] + sums[ends] - sums[ends - lengths]
    return keys
