"""Transcribe with the demo model in PyTorch: quickly in batches while training, and by true streaming to report."""

from typing import Any

import numpy as np
import torch
from demo_corpus import Utterance
from demo_features import HOP, RIGHT_CONTEXT, SEGMENT, Frontend
from torch import Tensor

from emf.export.torchaudio_loader import load_torchaudio


def waveform(utterance: Utterance) -> Tensor:
    """Samples in [-1, 1], `(samples,)`."""
    return torch.from_numpy(utterance.samples.astype(np.float32) / 32768.0)


@torch.inference_mode()
def greedy_batch(model: Any, frontend: Frontend, utterances: list[Utterance], *, most: int = 3) -> list[list[int]]:
    """Greedy search over a batch with the encoder's chunk masks, as good as streaming but much quicker.

    Args:
        model: a torchaudio `RNNT` in evaluation mode.
        frontend: features, used on the unbroken stream.
        utterances: decoded together, padded with silence.
        most: most tokens a frame.

    Returns:
        Token ids of each utterance.
    """
    waves = [waveform(utterance) for utterance in utterances]
    lengths = torch.tensor([-(-wave.shape[0] // (SEGMENT * HOP)) * SEGMENT for wave in waves])
    features = frontend.continuous(torch.nn.utils.rnn.pad_sequence(waves, batch_first=True))
    encodings, frames = model.transcribe(features, lengths)
    blank = model.joiner.linear.out_features - 1
    ones = torch.ones(len(waves), dtype=torch.long)
    prediction, _, state = model.predict(torch.full((len(waves), 1), blank), ones, None)
    tokens: list[list[int]] = [[] for _ in waves]
    for t in range(encodings.shape[1]):
        for _ in range(most):
            logits, _, _ = model.join(encodings[:, t : t + 1], ones, prediction, ones)
            best = logits[:, 0, 0].argmax(dim=1)
            emits = (best != blank) & (t < frames)
            if not emits.any():
                break
            for row in emits.nonzero().flatten().tolist():
                tokens[row].append(int(best[row]))
            advanced, _, new_state = model.predict(best.unsqueeze(1), ones, state)
            prediction = torch.where(emits[:, None, None], advanced, prediction)
            pairs = [list(zip(new, old, strict=True)) for new, old in zip(new_state, state, strict=True)]
            state = [[torch.where(emits[:, None], new, old) for new, old in layer] for layer in pairs]
    return tokens


@torch.inference_mode()
def stream(model: Any, frontend: Frontend, wave: Tensor, *, windowed: bool, beam_width: int) -> list[int]:
    """torchaudio's documented streaming loop: `RNNTBeamSearch.infer` on one segment after the other, states chained.

    Args:
        model: a torchaudio `RNNT` in evaluation mode.
        frontend: the features.
        wave: `(samples,)`.
        windowed: each window featurised on its own, as torchaudio does, or features of the unbroken stream.
        beam_width: of the beam search.

    Returns:
        Token ids of the best hypothesis.
    """
    blank = model.joiner.linear.out_features - 1
    search = load_torchaudio().models.RNNTBeamSearch(model, blank)
    if windowed:
        chunks = frontend.windows(wave.unsqueeze(0))[0]
    else:
        chunks = frontend.continuous(wave.unsqueeze(0))[0].unfold(0, SEGMENT + RIGHT_CONTEXT, SEGMENT).transpose(1, 2)
    state, hypotheses = None, None
    for chunk in chunks:
        length = torch.tensor([chunk.shape[0]])
        hypotheses, state = search.infer(chunk, length, beam_width, state=state, hypothesis=hypotheses)
    return list(hypotheses[0][0][1:]) if hypotheses else []
