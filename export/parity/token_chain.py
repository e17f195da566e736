"""Predictor and joiner of a backend beside PyTorch's, token after token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emf.export.graphs.predictor import packed_lstm_state
from emf.export.model import SourceModel
from emf.export.parity.deviations import Deviations
from emf.runtime.arrays import FloatArray
from emf.runtime.inference.transducer import Transducer

MIN_CHAINED_TOKENS = 64
ECHO = 10.0
"""How many times the tolerance of a single step a chain of LSTM steps may stray.

A step's rounding, some 4e-06 in the base model with seeded weights, comes back through the LSTM's state: there
PyTorch's own chain in float32 strays by up to 1e-4 from the same chain in float64.
"""


@dataclass(frozen=True)
class _TokenStep:
    """One token in PyTorch: the LSTM states before and after it, and all log-probabilities at a frame of audio."""

    token: int
    encoding: FloatArray
    before: FloatArray
    prediction: FloatArray
    after: FloatArray
    log_probs: FloatArray


def _reference(source: SourceModel, tokens: Sequence[int], encodings: Sequence[FloatArray]) -> Iterator[_TokenStep]:
    """PyTorch's predictor and joiner over tokens, the LSTM state chained."""
    one = torch.tensor([1])
    state, after = None, None
    for index, token in enumerate(tokens):
        encoding = encodings[index % len(encodings)][None]
        with torch.inference_mode():
            output, _, state = source.rnnt.predict(torch.tensor([[token]]), one, state)
            logits = source.rnnt.join(torch.from_numpy(encoding)[None], one, output, one)[0][0, 0]
            log_probs = torch.log_softmax(logits, dim=1).numpy()
        before, after = after, packed_lstm_state(state).numpy()
        before = np.zeros_like(after) if before is None else before
        yield _TokenStep(token, encoding, before, output[0].numpy(), after, log_probs)


def follow_tokens(
    source: SourceModel,
    transducer: Transducer,
    deviations: Deviations,
    tokens: Sequence[int],
    encodings: Sequence[FloatArray],
) -> None:
    """Feed the tokens found, and seeded random ones, to both predictors; join with the audio's frames.

    The backend takes every token twice: from PyTorch's state before it, within the tolerance; and from the state that
    it has chained itself, within `ECHO` times the tolerance, noted as `chained_`.

    Raises:
        ToleranceError: naming the first tensor that leaves the tolerance.
    """
    blank_id = source.geometry.num_symbols - 1
    random = np.random.default_rng(0).integers(0, blank_id, MIN_CHAINED_TOKENS)
    chained = transducer.initial_predictor_state()[None]
    for index, step in enumerate(_reference(source, [blank_id, *tokens, *random.tolist()], encodings)):
        place, atol = f"token {index}", deviations.atol
        for name, found, expected in _compared(transducer, step, step.before):
            deviations.compare(name, found, expected, place)
        for name, found, expected in _compared(transducer, step, chained):
            graph, tensor = name.split(".")
            deviations.compare(f"{graph}.chained_{tensor}", found, expected, place, ECHO * atol)
            if tensor == "new_lstm_state":
                chained = found


def _compared(transducer: Transducer, step: _TokenStep, state: FloatArray) -> list[tuple[str, FloatArray, FloatArray]]:
    """What a backend makes of a token from a state, beside PyTorch's: name, found, expected."""
    blank_id = step.log_probs.shape[1] - 1
    prediction, new_state = transducer.predict(np.array([step.token], np.int64), state)
    joined = transducer.join(step.encoding, prediction, 1.0, blank_id)
    best = transducer.join(step.encoding, prediction, 1.0, 1)
    return [
        ("predictor.prediction", prediction, step.prediction),
        ("predictor.new_lstm_state", new_state, step.after),
        ("joiner.blank_log_prob", joined.blank, step.log_probs[:, -1]),
        ("joiner.log_probs", joined.top, np.take_along_axis(step.log_probs, joined.top_ids, axis=1)),
        ("joiner.top_log_probs", best.top[:, 0], step.log_probs[:, :-1].max(axis=1)),
    ]
