"""torchaudio's beam search deciding by an engine's numbers, with PyTorch's beside each of them.

Where an engine's hypotheses part from torchaudio's this tells rounding from mistakes: the search is torchaudio's own,
the numbers are the engine's to the last bit, and how far they lie from PyTorch's is measured.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emf.export.model import SourceModel
from emf.export.torchaudio_loader import load_torchaudio
from emf.runtime.search import Hypothesis
from emf.runtime.search_loop import Model
from emf.runtime.session import FloatArray
from emf.runtime.transducer import Joined


class RecordedModel:
    """A predictor and joiner that give the same answer to the same question, to the last bit.

    An engine rounds a row of a batch differently in batches of other sizes; a search repeated with other batches
    would not be the same search.
    """

    def __init__(self, model: Model) -> None:
        """Remember nothing yet."""
        self._model = model
        self._predicted: dict[tuple[int, bytes], tuple[FloatArray, FloatArray]] = {}
        self._joined: dict[tuple[bytes, bytes], tuple[np.float32, FloatArray, npt.NDArray[np.int64]]] = {}

    def predict(self, tokens: npt.NDArray[np.int64], states: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Transducer.predict`."""
        keys = [(int(token), state.tobytes()) for token, state in zip(tokens, states, strict=True)]
        new = [index for index, key in enumerate(keys) if key not in self._predicted]
        if new:
            predictions, new_states = self._model.predict(tokens[new], states[new])
            self._predicted |= zip([keys[i] for i in new], zip(predictions, new_states, strict=True), strict=True)
        predicted = [self._predicted[key] for key in keys]
        return np.stack([prediction for prediction, _ in predicted]), np.stack([state for _, state in predicted])

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        """See `Transducer.join`; `temperature` and `top_k` must always be the same."""
        keys = [(e.tobytes(), p.tobytes()) for e, p in zip(encodings, predictions, strict=True)]
        new = [index for index, key in enumerate(keys) if key not in self._joined]
        if new:
            joined = self._model.join(encodings[new], predictions[new], temperature, top_k)
            rows = zip(joined.blank, joined.top, joined.top_ids, strict=True)
            self._joined |= zip([keys[i] for i in new], rows, strict=True)
        blank, top, top_ids = zip(*(self._joined[key] for key in keys), strict=True)
        return Joined(np.array(blank), np.stack(top), np.stack(top_ids))


class _Pair(NamedTuple):
    """The same value as the engine and as PyTorch computed it."""

    engine: FloatArray
    pytorch: Any


class PairedSearch:
    """One step of torchaudio's `RNNTBeamSearch` over an engine's numbers.

    Attributes:
        deviation: greatest difference of a log-probability that the search looked at from PyTorch's, natural logarithm.
    """

    def __init__(self, source: SourceModel, model: Model, beam_width: int) -> None:
        """Take a decoder of torchaudio's and answer what it asks of the model."""
        self.deviation = 0.0
        self._model, self._beam_width = model, beam_width
        self._num_symbols = source.geometry.num_symbols
        self._predicted: dict[tuple[int, ...], tuple[FloatArray, FloatArray]] = {}
        search = load_torchaudio().models.RNNTBeamSearch
        self._pytorch = search(source.rnnt, self._num_symbols - 1)
        self._decoder = search(source.rnnt, self._num_symbols - 1)
        self._decoder._gen_next_token_probs = self._log_probs
        self._decoder._gen_new_hypos = self._extend

    def run(
        self,
        encodings: tuple[FloatArray, FloatArray],
        ours: Sequence[Hypothesis],
        theirs: Sequence[Any],
    ) -> list[tuple[tuple[int, ...], float]]:
        """Tokens and scores of torchaudio's hypotheses, best first, after the frames of one step.

        Args:
            encodings: the engine's and PyTorch's, each of shape (frames, encoding_dim).
            ours: the engine's hypotheses before the step.
            theirs: torchaudio's, of the same tokens.
        """
        self._predicted = {hypothesis.tokens: (hypothesis.prediction, hypothesis.state) for hypothesis in ours}
        known = {tuple(hypothesis[0][1:]): hypothesis for hypothesis in theirs}
        start = []
        for hypothesis in ours:
            tokens, prediction, state, _ = known[hypothesis.tokens]
            pair = _Pair(hypothesis.prediction, prediction), _Pair(hypothesis.state, state)
            start.append((tokens, *pair, hypothesis.score))
        frames = torch.from_numpy(np.stack(encodings))
        with torch.inference_mode():
            found = self._decoder._search(frames, start, self._beam_width)
        return [(tuple(hypothesis[0][1:]), hypothesis[3]) for hypothesis in found]

    def _log_probs(self, frame: Tensor, hypotheses: list[Any], device: torch.device) -> Tensor:
        """The engine's log-probabilities, as far as it tells them, in place of `_gen_next_token_probs`."""
        predictions = np.stack([prediction.engine for _, prediction, _, _ in hypotheses])
        encodings = np.repeat(frame[0].numpy(), len(hypotheses), axis=0)
        joined = self._model.join(encodings, predictions, 1.0, self._beam_width)
        log_probs = torch.full((len(hypotheses), self._num_symbols), -torch.inf)
        log_probs.scatter_(1, torch.from_numpy(joined.top_ids), torch.from_numpy(joined.top))
        log_probs[:, -1] = torch.from_numpy(joined.blank)
        expected = self._pytorch._gen_next_token_probs(frame[1:], _in_pytorch(hypotheses), device)
        told = log_probs > -torch.inf
        self.deviation = max(self.deviation, float((log_probs - expected)[told].abs().max()))
        return log_probs

    def _extend(
        self, bases: list[Any], tokens: list[int], scores: list[float], t: int, device: torch.device
    ) -> list[Any]:
        """Both predictors, one token further, in place of `_gen_new_hypos`.

        As in our search, hypotheses with the same tokens share a prediction, whichever they were extended from.
        """
        extended = self._pytorch._gen_new_hypos(_in_pytorch(bases), tokens, scores, t, device)
        sequences = [tuple(hypothesis[0][1:]) for hypothesis in extended]
        missing = [index for index, sequence in enumerate(sequences) if sequence not in self._predicted]
        if missing:
            states = np.stack([bases[index][2].engine for index in missing])
            answer = self._model.predict(np.array([tokens[index] for index in missing], np.int64), states)
            self._predicted |= zip([sequences[i] for i in missing], zip(*answer, strict=True), strict=True)
        found = []
        for sequence, (all_tokens, prediction, state, score) in zip(sequences, extended, strict=True):
            our_prediction, our_state = self._predicted[sequence]
            found.append((all_tokens, _Pair(our_prediction, prediction), _Pair(our_state, state), score))
        return found


def _in_pytorch(hypotheses: list[Any]) -> list[Any]:
    """Hypotheses as torchaudio's own functions take them."""
    return [(tokens, prediction.pytorch, state.pytorch, score) for tokens, prediction, state, score in hypotheses]
