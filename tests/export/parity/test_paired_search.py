"""torchaudio's search over another model's numbers: the same decisions as ours, and how far the numbers lie apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from emf.export.parity.paired_search import PairedSearch
from emf.runtime.arrays import FloatArray
from emf.runtime.search.hypothesis import Hypothesis
from emf.runtime.search.model import Joined, Model
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import advance
from tests.oracle import TorchModel, encode, source
from tests.signals import speech_like

WIDTH = 4


class OtherModel:
    """A model whose log-probabilities lie up to `by` from those of another, otherwise for every symbol and frame."""

    def __init__(self, model: Model, by: float) -> None:
        self.model, self.by = model, np.float32(by)

    def predict(self, tokens: npt.NDArray[np.int64], states: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.model.predict(tokens, states)

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        joined = self.model.join(encodings, predictions, temperature, top_k)
        phases = 100.0 * encodings.sum(axis=1, keepdims=True) + joined.top_ids
        moved = joined.top + self.by * np.sin(phases).astype(np.float32)
        return Joined(joined.blank, moved, joined.top_ids)


def as_torchaudios(hypotheses: Sequence[Hypothesis], blank_id: int) -> list[Any]:
    """Our hypotheses as `RNNTBeamSearch` keeps them."""
    found = []
    for h in hypotheses:
        state = [list(layer.unbind(1)) for layer in torch.from_numpy(h.state[None]).unbind(1)]
        found.append(([blank_id, *h.tokens], torch.from_numpy(h.prediction[None]), state, h.score))
    return found


@pytest.mark.parametrize("by", [0.0, 1e-4, 0.1])
@pytest.mark.parametrize("name", ["like-base", "odd-lengths"])
def test_repeats_our_search_and_measures_how_far_the_numbers_lie_apart(name: str, by: float) -> None:
    model = source(name)
    blank_id = model.geometry.num_symbols - 1
    other, options = OtherModel(TorchModel(model.rnnt, blank_id), by), SearchOptions(beam_width=WIDTH)
    state = TorchModel(model.rnnt, blank_id).start()
    for encoding in encode(model.rnnt, speech_like(2.0), model.frontend, model.geometry):
        frames = encoding.numpy()
        (after,) = advance(frames[None], [state], other, options)
        search = PairedSearch(model, other, WIDTH)
        found = search.run((frames, frames), state.hypotheses, as_torchaudios(state.hypotheses, blank_id))
        assert [tokens for tokens, _ in found] == [h.tokens for h in after.hypotheses]
        assert [score for _, score in found] == pytest.approx([h.score for h in after.hypotheses], rel=0, abs=1e-4)
        assert by / 2 <= search.deviation <= by + 2e-5
        state = after
    assert state.hypotheses[0].tokens, "a model that says nothing tests nothing"


def test_jitter_moves_scores_as_far_as_told_and_is_measured() -> None:
    model = source("like-base")
    blank_id = model.geometry.num_symbols - 1
    pytorch = TorchModel(model.rnnt, blank_id)
    state = pytorch.start()
    frames = encode(model.rnnt, speech_like(1.0), model.frontend, model.geometry)[0].numpy()

    def scores(jitter: float, seed: int) -> list[float]:
        search = PairedSearch(model, pytorch, WIDTH, jitter, seed)
        found = search.run((frames, frames), state.hypotheses, as_torchaudios(state.hypotheses, blank_id))
        assert jitter / 2 <= search.deviation <= jitter + 2e-5
        return [score for _, score in found]

    assert scores(1e-3, seed=1) == scores(1e-3, seed=1)
    assert scores(1e-3, seed=1) != scores(1e-3, seed=2)
    assert scores(1e-3, seed=1) == pytest.approx(scores(0.0, seed=1), rel=0, abs=1e-2)
