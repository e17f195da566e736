"""torchaudio's beam search deciding by a backend's numbers, with PyTorch's beside each of them.

Where a backend's hypotheses part from torchaudio's this tells rounding from mistakes: the search is torchaudio's own,
the numbers are the backend's, and how far they lie from PyTorch's is measured.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from emf.export.model import SourceModel
from emf.export.parity.beams import Beam, their_beam
from emf.export.torchaudio_loader import load_torchaudio
from emf.runtime.arrays import FloatArray
from emf.runtime.search.hypothesis import Hypothesis
from emf.runtime.search.model import Model


class _Pair(NamedTuple):
    """The same value as the backend and as PyTorch computed it."""

    backend: FloatArray
    pytorch: Any


class PairedSearch:
    """One step of torchaudio's `RNNTBeamSearch` over a backend's numbers.

    Attributes:
        deviation: greatest difference of a log-probability that the search looked at from PyTorch's, natural logarithm.
    """

    def __init__(self, source: SourceModel, model: Model, beam_width: int, jitter: float = 0.0, seed: int = 0) -> None:
        """Take a decoder of torchaudio's and answer what it asks of the model.

        Args:
            source: the model in PyTorch.
            model: the backend's predictor and joiner.
            beam_width: hypotheses to keep.
            jitter: greatest amount by which to change log-probabilities, at random: among scores that are equal to the
                last bit torchaudio keeps any, and this tries others.
            seed: of the jitter.
        """
        self.deviation = 0.0
        self._model, self._beam_width, self._jitter = model, beam_width, jitter
        self._random = torch.Generator().manual_seed(seed)
        self._num_symbols = source.geometry.num_symbols
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
    ) -> Beam:
        """Tokens and scores of torchaudio's hypotheses, best first, after the frames of one step.

        Args:
            encodings: the backend's and PyTorch's, each of shape (frames, encoding_dim).
            ours: the backend's hypotheses before the step.
            theirs: torchaudio's, of the same tokens.
        """
        known = {tuple(hypothesis[0][1:]): hypothesis for hypothesis in theirs}
        start = []
        for hypothesis in ours:
            tokens, prediction, state, _ = known[hypothesis.tokens]
            pair = _Pair(hypothesis.prediction, prediction), _Pair(hypothesis.state, state)
            start.append((tokens, *pair, hypothesis.score))
        frames = torch.from_numpy(np.stack(encodings))
        with torch.inference_mode():
            found = self._decoder._search(frames, start, self._beam_width)
        return their_beam(found)

    def _log_probs(self, frame: Tensor, hypotheses: list[Any], device: torch.device) -> Tensor:
        """The backend's log-probabilities, as far as it tells them, in place of `_gen_next_token_probs`."""
        predictions = np.stack([prediction.backend for _, prediction, _, _ in hypotheses])
        encodings = np.repeat(frame[0].numpy(), len(hypotheses), axis=0)
        joined = self._model.join(encodings, predictions, 1.0, self._beam_width)
        log_probs = torch.full((len(hypotheses), self._num_symbols), -torch.inf)
        log_probs.scatter_(1, torch.from_numpy(joined.top_ids), torch.from_numpy(joined.top))
        log_probs[:, -1] = torch.from_numpy(joined.blank)
        log_probs += self._jitter * (2.0 * torch.rand(log_probs.shape, generator=self._random) - 1.0)
        expected = self._pytorch._gen_next_token_probs(frame[1:], _in_pytorch(hypotheses), device)
        told = log_probs > -torch.inf
        self.deviation = max(self.deviation, float((log_probs - expected)[told].abs().max()))
        return log_probs

    def _extend(
        self, bases: list[Any], tokens: list[int], scores: list[float], t: int, device: torch.device
    ) -> list[Any]:
        """Both predictors, one token further, in place of `_gen_new_hypos`."""
        states = np.stack([state.backend for _, _, state, _ in bases])
        predictions, new_states = self._model.predict(np.array(tokens, np.int64), states)
        extended = self._pytorch._gen_new_hypos(_in_pytorch(bases), tokens, scores, t, device)
        return [
            (all_tokens, _Pair(our_prediction, prediction), _Pair(our_state, state), score)
            for our_prediction, our_state, (all_tokens, prediction, state, score) in zip(
                predictions, new_states, extended, strict=True
            )
        ]


def _in_pytorch(hypotheses: list[Any]) -> list[Any]:
    """Hypotheses as torchaudio's own functions take them."""
    return [(tokens, prediction.pytorch, state.pytorch, score) for tokens, prediction, state, score in hypotheses]
