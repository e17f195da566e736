"""What a change of the model did to the words that it hears, as values. Needs no PyTorch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WordDrift:
    """What a search makes of the changed encoder, beside what it made of the original one.

    Attributes:
        words: that the original model heard.
        words_changed: edit operations from these to the changed model's.
        tokens_changed: utterances whose tokens differ.
        wer: of the original, where there are transcripts.
        wer_converted: of the changed model.
    """

    words: int
    words_changed: int
    tokens_changed: int
    wer: float | None
    wer_converted: float | None

    @property
    def wer_increase(self) -> float | None:
        """How much more WER; `None` without transcripts."""
        return None if self.wer is None or self.wer_converted is None else self.wer_converted - self.wer
