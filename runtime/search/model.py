"""What a search needs of a model, and what the model answers."""

from dataclasses import dataclass
from typing import Protocol

from emf.runtime.arrays import FloatArray, IdArray


@dataclass(frozen=True, slots=True)
class Joined:
    """The joiner's log-probabilities for n hypotheses.

    Attributes:
        blank: of the blank, shape (n,).
        top: of the k best other symbols, best first, shape (n, k).
        top_ids: their ids, shape (n, k).
    """

    blank: FloatArray
    top: FloatArray
    top_ids: IdArray


class Model(Protocol):
    """The predictor and the joiner of a transducer, in whatever runs them."""

    def predict(self, tokens: IdArray, states: FloatArray) -> tuple[FloatArray, FloatArray]:
        """One token further for n hypotheses.

        Args:
            tokens: the last token of each, shape (n,).
            states: LSTM states, shape (n, ...).

        Returns:
            Predictions, shape (n, encoding_dim), and the new LSTM states.
        """

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        """Log-probabilities of the next symbol for n hypotheses, each at its own encoder frame.

        Args:
            encodings: shape (n, encoding_dim).
            predictions: shape (n, encoding_dim).
            temperature: divides the logits before the softmax.
            top_k: how many symbols other than the blank to return.
        """
