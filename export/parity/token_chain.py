"""Predictor and joiner of a backend beside PyTorch's, token after token."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emf.export.graphs.predictor import packed_lstm_state
from emf.export.model import SourceModel
from emf.export.parity.deviations import Deviations
from emf.runtime.arrays import FloatArray
from emf.runtime.inference.transducer import Transducer

MIN_CHAINED_TOKENS = 64


@dataclass(frozen=True)
class _TokenStep:
    """One token in PyTorch: the prediction, the LSTM state behind it, all log-probabilities at a frame of audio."""

    prediction: FloatArray
    after: FloatArray
    log_probs: FloatArray


class _Found:
    """One token in a backend, from an LSTM state."""

    def __init__(
        self, transducer: Transducer, token: int, encoding: FloatArray, state: FloatArray, blank_id: int
    ) -> None:
        self.prediction, self.after = transducer.predict(np.array([token], np.int64), state)
        self._all = transducer.join(encoding, self.prediction, 1.0, blank_id)
        self._best = transducer.join(encoding, self.prediction, 1.0, 1)

    def beside(self, step: _TokenStep) -> dict[tuple[str, str], tuple[FloatArray, FloatArray]]:
        """What the backend gave and what PyTorch did, by graph and tensor."""
        log_probs = np.take_along_axis(step.log_probs, self._all.top_ids, axis=1)
        return {
            ("predictor", "prediction"): (self.prediction, step.prediction),
            ("predictor", "new_lstm_state"): (self.after, step.after),
            ("joiner", "blank_log_prob"): (self._all.blank, step.log_probs[:, -1]),
            ("joiner", "log_probs"): (self._all.top, log_probs),
            ("joiner", "top_log_probs"): (self._best.top[:, 0], step.log_probs[:, :-1].max(axis=1)),
        }


def _reference(source: SourceModel, token: int, encoding: FloatArray, state: FloatArray) -> _TokenStep:
    """PyTorch's predictor and joiner over one token, from a packed LSTM state."""
    one = torch.tensor([1])
    layers = [list(layer.unbind(1)) for layer in torch.from_numpy(state).unbind(1)]
    with torch.inference_mode():
        output, _, new = source.rnnt.predict(torch.tensor([[token]]), one, layers)
        logits = source.rnnt.join(torch.from_numpy(encoding)[None], one, output, one)[0][0, 0]
        log_probs = torch.log_softmax(logits, dim=1).numpy()
    return _TokenStep(output[0].numpy(), packed_lstm_state(new).numpy(), log_probs)


def follow_tokens(
    source: SourceModel,
    transducer: Transducer,
    deviations: Deviations,
    tokens: Sequence[int],
    encodings: Sequence[FloatArray],
) -> None:
    """Feed the tokens found, and seeded random ones, to both predictors; join with the audio's frames.

    The backend takes every token twice: from PyTorch's state before it and, noted as `own_`, from the state that it has
    chained itself. Both times its step must lie within the tolerance of PyTorch's from the same state.

    How far the two chains stray apart is noted as `chained_`, not bounded. With P for PyTorch's step, B for the
    backend's, and p and b for their states before a token, B(b) - P(p) = (B(b) - P(b)) + (P(b) - P(p)). The first part
    is the backend's error, and bounded. The second is the model's own: what it makes of two states that differ. The
    model of `tests/export/parity/test_token_chain.py` makes 6e-4 of PyTorch's roundings of 5e-7 a step.

    Raises:
        ToleranceError: naming the first tensor that leaves the tolerance.
    """
    blank_id = source.geometry.num_symbols - 1
    random = np.random.default_rng(0).integers(0, blank_id, MIN_CHAINED_TOKENS)
    state = chained = transducer.initial_predictor_state()[None]
    for index, token in enumerate([blank_id, *tokens, *random.tolist()]):
        encoding, place = encodings[index % len(encodings)][None], f"token {index}"
        step, own = _reference(source, token, encoding, state), _reference(source, token, encoding, chained)
        found = _Found(transducer, token, encoding, state, blank_id)
        strayed = _Found(transducer, token, encoding, chained, blank_id)
        for prefix, made, expected, atol in (
            ("", found, step, deviations.atol),
            ("own_", strayed, own, deviations.atol),
            ("chained_", strayed, step, math.inf),
        ):
            for (graph, tensor), pair in made.beside(expected).items():
                deviations.compare(f"{graph}.{prefix}{tensor}", *pair, place, atol)
        state, chained = step.after, strayed.after
