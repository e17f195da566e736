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
    """One token in PyTorch: what comes of it, the LSTM state behind it, all log-probabilities at a frame of audio."""

    token: int
    encoding: FloatArray
    prediction: FloatArray
    after: FloatArray
    log_probs: FloatArray


def _reference(source: SourceModel, token: int, encoding: FloatArray, state: FloatArray) -> _TokenStep:
    """PyTorch's predictor and joiner over one token, from a packed LSTM state."""
    one = torch.tensor([1])
    layers = [list(layer.unbind(1)) for layer in torch.from_numpy(state).unbind(1)]
    with torch.inference_mode():
        output, _, new = source.rnnt.predict(torch.tensor([[token]]), one, layers)
        logits = source.rnnt.join(torch.from_numpy(encoding)[None], one, output, one)[0][0, 0]
        log_probs = torch.log_softmax(logits, dim=1).numpy()
    return _TokenStep(token, encoding, output[0].numpy(), packed_lstm_state(new).numpy(), log_probs)


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
        for prefix, expected, before, atol in (
            ("", step, state, deviations.atol),
            ("own_", own, chained, deviations.atol),
            ("chained_", step, chained, math.inf),
        ):
            compared = _compared(transducer, expected, before)
            for (graph, tensor), pair in compared.items():
                deviations.compare(f"{graph}.{prefix}{tensor}", *pair, place, atol)
        chained, _ = compared["predictor", "new_lstm_state"]
        state = step.after


def _compared(
    transducer: Transducer, step: _TokenStep, state: FloatArray
) -> dict[tuple[str, str], tuple[FloatArray, FloatArray]]:
    """What a backend makes of a token from a state, and PyTorch: pairs by graph and tensor."""
    blank_id = step.log_probs.shape[1] - 1
    prediction, new_state = transducer.predict(np.array([step.token], np.int64), state)
    joined = transducer.join(step.encoding, prediction, 1.0, blank_id)
    best = transducer.join(step.encoding, prediction, 1.0, 1)
    return {
        ("predictor", "prediction"): (prediction, step.prediction),
        ("predictor", "new_lstm_state"): (new_state, step.after),
        ("joiner", "blank_log_prob"): (joined.blank, step.log_probs[:, -1]),
        ("joiner", "log_probs"): (joined.top, np.take_along_axis(step.log_probs, joined.top_ids, axis=1)),
        ("joiner", "top_log_probs"): (best.top[:, 0], step.log_probs[:, :-1].max(axis=1)),
    }
