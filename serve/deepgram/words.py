"""Words of a session as Deepgram writes them."""

from collections.abc import Sequence

from emf.runtime.recognition.result import Word
from emf.serve.deepgram import messages

_DIGITS = 3


def seconds(value: float) -> float:
    """A time, to the millisecond."""
    return round(value, _DIGITS)


def alternative(words: Sequence[Word], text: str | None = None) -> messages.Alternative:
    """The words, and their text, where it is not the words with spaces between them."""
    written = [
        messages.Word(w.word, seconds(w.start), seconds(w.end), round(w.confidence, _DIGITS), w.word) for w in words
    ]
    transcript = " ".join(word.word for word in words) if text is None else text
    return messages.Alternative(transcript, confidence(words), written)


def confidence(words: Sequence[Word]) -> float:
    """The mean of the words' confidences; 0 without any."""
    return round(sum(word.confidence for word in words) / len(words), _DIGITS) if words else 0.0
