"""Hypotheses of many streams as arrays: one after another, or in columns, a row a stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from emf.runtime.arrays import FloatArray
from emf.runtime.search.batched.prefixes import NONE, IntArray, Prefixes
from emf.runtime.search.hypothesis import Hypothesis, SearchState


@dataclass(frozen=True, slots=True)
class Row:
    """Hypotheses one after another, those of the first stream first; every array of shape (n,).

    Attributes:
        stream: whose it is.
        prefix: number of its tokens, see `Prefixes`.
        path: number of its emissions.
        score: log-probability, in the precision of the model.
    """

    stream: IntArray
    prefix: IntArray
    path: IntArray
    score: FloatArray

    @classmethod
    def of(cls, states: Sequence[SearchState], dtype: np.dtype[np.float32]) -> "Row":
        """The hypotheses of the streams, with the numbers that `Prefixes` gives them."""
        counts = [len(state.hypotheses) for state in states]
        streams, numbers = np.repeat(np.arange(len(states)), counts), np.arange(sum(counts))
        return cls(streams, numbers, numbers, np.array([h.score for s in states for h in s.hypotheses], dtype))

    def with_others(self, other: "Row") -> "Row":
        """These and those of other streams."""
        if not len(self.stream):
            return other
        pairs = [(self.stream, other.stream), (self.prefix, other.prefix), (self.path, other.path)]
        stream, prefix, path = (np.concatenate(pair) for pair in pairs)
        score, order = np.concatenate([self.score, other.score]), np.argsort(stream, kind="stable")
        return Row(stream[order], prefix[order], path[order], score[order])


def ranks_in(streams: IntArray) -> IntArray:
    """The place of each among those of its stream; the streams are ascending."""
    ranks: IntArray = np.arange(len(streams)) - np.searchsorted(streams, streams)
    return ranks


@dataclass(slots=True)
class Columns:
    """Hypotheses in columns, a row a stream; every array of shape (streams, columns).

    Attributes:
        prefix: as in `Row`; `NONE` where there is no hypothesis.
        path: as in `Row`.
        score: as in `Row`; minus infinity where there is no hypothesis.
    """

    prefix: IntArray
    path: IntArray
    score: FloatArray

    @classmethod
    def empty(cls, num_streams: int, num_columns: int, dtype: np.dtype[np.float32]) -> "Columns":
        """No hypotheses."""
        shape = num_streams, num_columns
        return cls(np.full(shape, NONE), np.zeros(shape, np.int64), np.full(shape, -np.inf, dtype))

    def of(self, streams: IntArray) -> "Columns":
        """Those of some streams; a copy."""
        return Columns(self.prefix[streams], self.path[streams], self.score[streams])

    def widen(self, num_columns: int) -> None:
        """Have at least so many columns."""
        missing = num_columns - self.prefix.shape[1]
        if missing > 0:
            more = max(missing, self.prefix.shape[1])
            self.prefix, self.path = _padded(self.prefix, more, NONE), _padded(self.path, more, 0)
            self.score = _padded(self.score, more, -np.inf)

    def drop(self, where: IntArray | npt.NDArray[np.bool_]) -> None:
        """Empty some cells, or whole rows."""
        self.prefix[where], self.score[where] = NONE, -np.inf

    def ranked(self, lengths: IntArray) -> "Columns":
        """The hypotheses of each stream by score / length, best first."""
        ranks = np.where(self.prefix == NONE, np.inf, self.score.astype(np.float64) / -lengths)
        order, rows = np.argsort(ranks, axis=1, kind="stable"), np.arange(len(ranks))[:, None]
        return Columns(self.prefix[rows, order], self.path[rows, order], self.score[rows, order])

    def first(self, num_columns: int) -> "Columns":
        """The first columns."""
        return Columns(self.prefix[:, :num_columns], self.path[:, :num_columns], self.score[:, :num_columns])

    def drop_below(self, threshold: float) -> None:
        """Empty the cells that are more than the threshold below the best score of their stream."""
        if threshold < np.inf:
            self.drop(self.score < self.score.max(axis=1, keepdims=True).astype(np.float64) - threshold)

    def row(self, streams: IntArray) -> Row:
        """The hypotheses one after another; `streams` says, ascending, whose each row is."""
        rows, columns = np.nonzero(self.prefix != NONE)
        cells = rows, columns
        return Row(streams[rows], self.prefix[cells], self.path[cells], self.score[cells])

    def hypotheses(self, row: int, prefixes: Prefixes) -> list[Hypothesis]:
        """Those of one row as values."""
        cells = zip(self.prefix[row].tolist(), self.path[row].tolist(), self.score[row].tolist(), strict=True)
        return [prefixes.hypothesis(prefix, path, score) for prefix, path, score in cells if prefix != NONE]


def _padded(array: npt.NDArray[Any], more: int, value: float) -> npt.NDArray[Any]:
    """The array with more columns."""
    return np.pad(array, [(0, 0), (0, more)], constant_values=value)
