"""A transducer that is a table, small enough to enumerate; and all its alignments, one by one."""

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt

from emf.runtime.arrays import FloatArray
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.model import Joined
from emf.runtime.search.run import initial_search_state


class TableModel:
    """Logits are `table[frame, last token]`; the blank is the last symbol."""

    def __init__(self, num_frames: int, num_tokens: int, seed: int = 0, blank_bias: float = 0.0) -> None:
        random = np.random.default_rng(seed)
        self.blank_id = num_tokens
        self.table = random.normal(0.0, 2.0, (num_frames, num_tokens + 1, num_tokens + 1)).astype(np.float32)
        self.table[:, :, -1] += np.float32(blank_bias)
        self.num_predictions = 0

    @property
    def frames(self) -> FloatArray:
        """Encodings that name their frame, shape (frames, 1)."""
        return np.arange(len(self.table), dtype=np.float32)[:, None]

    def start(self) -> SearchState:
        return initial_search_state(self, self.blank_id, np.zeros(1, np.float32))

    def predict(self, tokens: npt.NDArray[np.int64], states: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.num_predictions += len(tokens)
        last = tokens.astype(np.float32)[:, None]
        return last, last

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        logits = self.table[encodings[:, 0].astype(int), predictions[:, 0].astype(int)]
        log_probs = log_softmax(logits / np.float32(temperature))
        top_ids = np.argsort(-log_probs[:, :-1], axis=1, kind="stable")[:, :top_k]
        return Joined(log_probs[:, -1], np.take_along_axis(log_probs, top_ids, axis=1), top_ids)

    def log_prob(self, frame: int, last: int, symbol: int) -> float:
        return float(log_softmax(self.table[frame, last].astype(np.float64))[symbol])


def log_softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: npt.NDArray[np.floating] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def alignments(model: TableModel, limit: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every way to emit up to `limit` tokens at each frame: the tokens and the alignment's log-probability."""
    choices = [emitted for count in range(limit + 1) for emitted in product(range(model.blank_id), repeat=count)]
    for path in product(choices, repeat=len(model.table)):
        score, last = 0.0, model.blank_id
        for frame, emitted in enumerate(path):
            for token in emitted:
                score += model.log_prob(frame, last, token)
                last = token
            score += model.log_prob(frame, last, model.blank_id)
        yield tuple(token for emitted in path for token in emitted), score


def all_scores(model: TableModel, limit: int) -> dict[tuple[int, ...], float]:
    """Log-probability of every sequence over all its alignments."""
    found: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for tokens, score in alignments(model, limit):
        found[tokens].append(score)
    return {tokens: math.log(sum(map(math.exp, scores))) for tokens, scores in found.items()}
