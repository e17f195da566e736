"""A model's predictor and joiner in PyTorch, as the searches of `emf.runtime` want them; whole recordings."""

from collections.abc import Sequence

import numpy as np
import torch

from emf.export.graphs.joiner import JoinerGraph
from emf.export.graphs.predictor import PredictorGraph
from emf.export.model import SourceModel
from emf.runtime.arrays import FloatArray, IdArray
from emf.runtime.search.batched.advance import advance
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.model import Joined
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import initial_search_state

_TOGETHER = 16


class TorchModel:
    """See `emf.runtime.search.model.Model`."""

    def __init__(self, source: SourceModel) -> None:
        self._predictor = PredictorGraph(source.rnnt.predictor).eval()
        self._joiner = JoinerGraph(source.rnnt.joiner, source.geometry.num_symbols).eval()
        self._blank_id = source.geometry.num_symbols - 1

    def start(self) -> SearchState:
        """Before the first frame."""
        state = self._predictor.example_inputs(1)["lstm_state"][0]
        return initial_search_state(self, self._blank_id, state.numpy())

    def predict(self, tokens: IdArray, states: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Model`."""
        with torch.inference_mode():
            prediction, new = self._predictor(torch.from_numpy(np.asarray(tokens)), torch.from_numpy(states))
        return prediction.numpy(), new.numpy()

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        """See `Model`."""
        heat = torch.full((len(encodings),), temperature)
        with torch.inference_mode():
            joined = self._joiner(torch.from_numpy(encodings), torch.from_numpy(predictions), heat)
            blank, top, ids, logits, normalizer = joined
            if top_k > top.shape[1]:
                logits, ids = logits.topk(min(top_k, logits.shape[1]), dim=1)
                top = logits / heat[:, None] - normalizer[:, None]
        return Joined(blank.numpy(), top[:, :top_k].numpy(), ids[:, :top_k].numpy())


def decode(model: TorchModel, encodings: Sequence[FloatArray], frames: int, options: SearchOptions) -> list[list[int]]:
    """The best tokens of recordings, from the encodings (steps * frames, encoding_dim) of each."""
    found: list[list[int]] = [[] for _ in encodings]
    order = sorted(range(len(encodings)), key=lambda index: -len(encodings[index]))
    for first in range(0, len(order), _TOGETHER):
        group = order[first : first + _TOGETHER]
        states = [model.start()] * len(group)
        for begin in range(0, len(encodings[group[0]]), frames):
            active = [index for index in group if begin < len(encodings[index])]  # a beginning of the group
            chunk = np.stack([encodings[index][begin : begin + frames] for index in active])
            states[: len(active)] = advance(chunk, states[: len(active)], model, options)
        for index, state in zip(group, states, strict=True):
            found[index] = list(state.hypotheses[0].emissions.tokens)
    return found
