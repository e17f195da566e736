"""torchaudio's search over another model's numbers: the same decisions as ours, and how far the numbers lie apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from emf.export.paired_search import PairedSearch, RecordedModel
from emf.runtime.beam_search import beam_search
from emf.runtime.search import Hypothesis, SearchOptions
from emf.runtime.search_loop import Model, run_searches
from emf.runtime.session import FloatArray
from emf.runtime.transducer import Joined
from tests.oracle import TorchModel, encode, source
from tests.signals import speech_like

WIDTH = 4


class NoisyModel:
    """A model that never gives the same answer twice, nor to two rows of a batch."""

    def __init__(self, model: Model, noise: float) -> None:
        self.model, self.noise = model, noise
        self.random = np.random.default_rng(0)

    def shaken(self, array: FloatArray) -> FloatArray:
        return array + self.random.uniform(-self.noise, self.noise, array.shape).astype(np.float32)

    def predict(self, tokens: npt.NDArray[np.int64], states: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.model.predict(tokens, states)

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        joined = self.model.join(encodings, predictions, temperature, top_k)
        return Joined(self.shaken(joined.blank), self.shaken(joined.top), joined.top_ids)


def as_torchaudios(hypotheses: Sequence[Hypothesis], blank_id: int) -> list[Any]:
    """Our hypotheses as `RNNTBeamSearch` keeps them."""
    found = []
    for h in hypotheses:
        state = [list(layer.unbind(1)) for layer in torch.from_numpy(h.state[None]).unbind(1)]
        found.append(([blank_id, *h.tokens], torch.from_numpy(h.prediction[None]), state, h.score))
    return found


@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.1])
@pytest.mark.parametrize("name", ["like-base", "odd-lengths"])
def test_repeats_our_search_and_measures_the_noise(name: str, noise: float) -> None:
    model = source(name)
    blank_id = model.geometry.num_symbols - 1
    pytorch, options = TorchModel(model.rnnt, blank_id), SearchOptions(WIDTH)
    state = pytorch.start()
    for encoding in encode(model.rnnt, speech_like(2.0), model.frontend, model.geometry):
        recorded = RecordedModel(NoisyModel(pytorch, noise))
        (after,) = run_searches([beam_search(encoding.numpy(), state, options)], recorded, options)
        search = PairedSearch(model, recorded, WIDTH)
        found = search.run(
            (encoding.numpy(), encoding.numpy()), state.hypotheses, as_torchaudios(state.hypotheses, blank_id)
        )
        assert [tokens for tokens, _ in found] == [h.tokens for h in after.hypotheses]
        assert [score for _, score in found] == pytest.approx([h.score for h in after.hypotheses], rel=0, abs=1e-4)
        assert noise / 2 <= search.deviation <= noise + 2e-5
        state = after
    assert state.hypotheses[0].tokens, "a model that says nothing tests nothing"


def test_a_recorded_model_answers_the_same_in_any_batch() -> None:
    model = source("like-base")
    noisy = NoisyModel(TorchModel(model.rnnt, model.geometry.num_symbols - 1), 0.1)
    recorded, random = RecordedModel(noisy), np.random.default_rng(1)
    frames, predictions = random.standard_normal((2, 6, 24)).astype(np.float32)
    first = recorded.join(frames[:4], predictions[:4], 1.0, WIDTH)
    again = recorded.join(frames[::-1], predictions[::-1], 1.0, WIDTH)
    for name in ("blank", "top", "top_ids"):
        np.testing.assert_array_equal(getattr(again, name)[:1:-1], getattr(first, name))
    assert not np.array_equal(noisy.join(frames[:4], predictions[:4], 1.0, WIDTH).top, first.top)
