"""Labels of single encoder frames, from where each word lies: they take the model off the plateau of blanks."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

BLANK_WEIGHT = 0.3
"""Weight of a silent frame against one of speech."""
_FRAME = 640
"""Samples of one encoder frame."""
_UNKNOWN = -100


@dataclass(frozen=True, slots=True)
class Span:
    """Where a word lies, or an utterance whose words are not aligned.

    Attributes:
        text: the word or the words.
        start: first sample.
        end: the sample after the last.
        aligned: whether it is one word, said from start to end.
    """

    text: str
    start: float
    end: float
    aligned: bool

    def moved(self, by: float, speed: float = 1.0) -> "Span":
        """The same after a change of speed and a delay of `by` samples."""
        return Span(self.text, self.start / speed + by, self.end / speed + by, self.aligned)


def frame_labels(streams: list[list[Span]], frames: int, pieces: Any, blank: int) -> Tensor:
    """The piece that each encoder frame should show, `(batch, frames)`, -100 where anything may stand.

    A word's span is divided evenly among its pieces; a piece is asked for in the second half of its share and one
    frame longer, as the encoder sees little of the future. Frames without speech are to be blank.

    Args:
        streams: spans of each stream.
        frames: encoder frames of 40 ms.
        pieces: the SentencePiece processor.
        blank: id of the blank.
    """
    labels = torch.full((len(streams), frames), blank)
    for row, spans in zip(labels, streams, strict=True):
        for span in spans:
            row[int(span.start / _FRAME) : int(span.end / _FRAME) + 3] = _UNKNOWN
        for span in spans:
            ids = pieces.encode(span.text) if span.aligned else []
            share = (span.end - span.start) / max(1, len(ids))
            for index, piece in enumerate(ids):
                start = span.start + share * index
                row[int((start + share / 2) / _FRAME) + 1 : int((start + share) / _FRAME) + 2] = piece
    return labels


def label_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the CTC head's log-probabilities `(batch, frames, symbols)` against the labels."""
    weights = torch.ones(scores.shape[2])
    weights[-1] = BLANK_WEIGHT
    return torch.nn.functional.nll_loss(scores.flatten(0, 1), labels.flatten(), weights, ignore_index=_UNKNOWN)
