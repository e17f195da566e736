"""Predictor and joiner along a chain of tokens, beside a backend that rounds once a step: PyTorch in float64."""

import copy
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

from emf.export.model import SourceModel
from emf.export.parity.deviations import Deviations
from emf.export.parity.token_chain import follow_tokens
from emf.runtime.arrays import FloatArray
from emf.runtime.errors import ToleranceError
from emf.runtime.inference.transducer import Transducer
from emf.runtime.search.model import Joined
from tests.oracle import TorchModel, source
from tests.tolerances import TENSOR

ONE_STEP = 1e-5
TOKENS = [*[5] * 3, *[20] * 5, *[5] * 4, *[20] * 5]
"""As the model speaks; behind them, the random ones lead it to where it enlarges what is rounded most."""


class Exact:
    """A backend whose every step is that of float64, rounded to float32; `error` is added to states of its own."""

    def __init__(self, model: SourceModel, error: float = 0.0) -> None:
        self._exact = TorchModel(copy.deepcopy(model.rnnt).double(), model.geometry.num_symbols - 1)
        self._error, self._own = np.float32(error), set[bytes]()

    def initial_predictor_state(self) -> FloatArray:
        return np.zeros((self._exact.num_layers, 2, self._exact.hidden), np.float32)

    def predict(self, tokens: npt.NDArray[np.int64], states: FloatArray) -> tuple[FloatArray, FloatArray]:
        prediction, new = self._exact.predict(tokens, states.astype(np.float64))
        rounded = new.astype(np.float32) + (self._error if states.tobytes() in self._own else np.float32(0.0))
        self._own.add(rounded.tobytes())
        return prediction.astype(np.float32), rounded

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        found = self._exact.join(encodings.astype(np.float64), predictions.astype(np.float64), temperature, top_k)
        return Joined(found.blank.astype(np.float32), found.top.astype(np.float32), found.top_ids)


def followed(backend: Exact, model: SourceModel, atol: float) -> dict[str, float]:
    deviations = Deviations("exact", atol)
    frames = [*np.random.default_rng(1).standard_normal((8, model.geometry.encoding_dim)).astype(np.float32)]
    follow_tokens(model, cast(Transducer, backend), deviations, TOKENS, frames)
    return deviations.by_tensor


def test_a_chain_may_stray_as_far_as_the_model_makes_it() -> None:
    """This model enlarges what float32 rounds; no backend can stay close to PyTorch's chain."""
    model = source("like-base")
    found = followed(Exact(model), model, ONE_STEP)
    stray = {name: value for name, value in found.items() if ".chained_" in name}
    assert max(value for name, value in found.items() if name not in stray) < ONE_STEP
    assert len(stray) == 5 and stray["predictor.chained_new_lstm_state"] > 10.0 * ONE_STEP


def test_every_step_of_the_chain_is_held_against_the_model() -> None:
    """A backend that is wrong about its own states alone, by less than the chain strays, is found at once."""
    model = source("like-base")
    with pytest.raises(ToleranceError, match=r"predictor\.own_new_lstm_state .* at token 1"):
        followed(Exact(model, error=2.0 * TENSOR), model, TENSOR)
