"""What a search asks of the model, as the requests that its generator yields.

A search is a generator over the frames of one stream. It yields what it wants from the model and is sent the answer,
so that it reads like the paper, and `emf.runtime.search.run` can gather the requests of many streams into one call.
"""

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeAlias, TypeVar, cast

from emf.runtime.arrays import FloatArray
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.model import Joined


class Join(NamedTuple):
    """Log-probabilities of the blank and of the best `top_k` symbols.

    At each of the `frames`, shape (m, encoding_dim), for each of n `predictions`; the answer has m times n rows, those
    of the first frame first.
    """

    frames: FloatArray
    predictions: Sequence[FloatArray]
    top_k: int


class Predict(NamedTuple):
    """The predictions after one more token each, from the LSTM states before it."""

    tokens: Sequence[int]
    states: Sequence[FloatArray]


Predicted: TypeAlias = list[tuple[FloatArray, FloatArray]]
"""Prediction and new LSTM state, one a token asked for."""
Request: TypeAlias = Join | Predict
Answer: TypeAlias = Joined | Predicted
Search: TypeAlias = Generator[Request, Answer, SearchState]
R = TypeVar("R")
Asking: TypeAlias = Generator[Request, Answer, R]
"""A part of a search, which returns an `R`."""


def join(frames: FloatArray, predictions: Sequence[FloatArray], top_k: int) -> Asking[Joined]:
    """Ask the joiner, see `Join`."""
    return cast(Joined, (yield Join(frames, predictions, top_k)))


def predict(tokens: Sequence[int], states: Sequence[FloatArray]) -> Asking[Predicted]:
    """Ask the predictor, see `Predict`."""
    return cast(Predicted, (yield Predict(tokens, states)))
