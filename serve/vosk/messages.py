"""The messages of vosk-server, as JSON text. Audio comes between them as binary messages.

Source: websocket/asr_server.py in alphacep/vosk-server, and the answers of `KaldiRecognizer` in alphacep/vosk-api.
"""

from collections.abc import Sequence

import msgspec

from emf.runtime.guidance.phrases import DEFAULT_SCORE, MAX_PHRASE_LENGTH
from emf.runtime.recognition.result import Alternative, Word
from emf.serve.sockets.json_messages import decode_json

_DIGITS = 6
_BRACKETS = "[<"
_ENCODER = msgspec.json.Encoder()


class Config(msgspec.Struct, frozen=True):
    """How the client wants its audio to be decoded; what is not known is ignored.

    Attributes:
        sample_rate: in Hz; `None` takes 8000, or that of the header if the audio begins with one of WAV.
        phrase_list: what is likely to be said; `[unk]` and its like mean nothing here.
        grammar: the same.
        words: results hold the times of words.
        max_alternatives: results hold at most so many hypotheses; 0 gives the best alone, in another form.
    """

    sample_rate: float | None = None
    phrase_list: list[str] | None = None
    grammar: list[str] | None = None
    words: bool = True
    max_alternatives: int = 0

    @property
    def phrases(self) -> dict[str, float] | None:
        """The phrases with their scores; `None` without any."""
        given = [" ".join(phrase.split()) for phrase in [*(self.phrase_list or ()), *(self.grammar or ())]]
        usable = [phrase for phrase in given if phrase and phrase[0] not in _BRACKETS]
        return {phrase: DEFAULT_SCORE for phrase in usable if len(phrase) <= MAX_PHRASE_LENGTH} or None


class Request(msgspec.Struct, frozen=True):
    """A text of the client: a configuration, the end of the audio, or the end of an utterance."""

    config: Config | None = None
    eof: msgspec.Raw = msgspec.Raw()
    reset: msgspec.Raw = msgspec.Raw()

    @property
    def ends_audio(self) -> bool:
        """Whether the audio is complete."""
        return bool(bytes(self.eof))

    @property
    def ends_utterance(self) -> bool:
        """Whether the client wants a result now."""
        return bool(bytes(self.reset))


class TimedWord(msgspec.Struct, frozen=True):
    """A word; times in seconds from the first sample."""

    conf: float
    end: float
    start: float
    word: str


class Partial(msgspec.Struct, frozen=True):
    """What an utterance says so far; it may change."""

    partial: str


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an utterance said."""

    text: str
    result: tuple[TimedWord, ...] = ()


class Hypothesis(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an utterance may have said; `confidence` is a log-probability. Only the best one has times."""

    confidence: float
    text: str
    result: tuple[TimedWord, ...] = ()


class Alternatives(msgspec.Struct, frozen=True):
    """The hypotheses of an utterance, best first."""

    alternatives: list[Hypothesis]


def result(config: Config, text: str, words: Sequence[Word], nbest: Sequence[Alternative]) -> Result | Alternatives:
    """The result of an utterance in the form that the client wants.

    Args:
        config: of the connection.
        text: of the best hypothesis.
        words: of it.
        nbest: all hypotheses, best first.
    """
    timed = tuple(_timed(word) for word in words) if config.words else ()
    if config.max_alternatives <= 0:
        return Result(text, timed)
    others = [Hypothesis(round(one.score, _DIGITS), one.text) for one in nbest[1 : config.max_alternatives]]
    return Alternatives([Hypothesis(round(nbest[0].score, _DIGITS) if nbest else 0.0, text, timed), *others])


def _timed(word: Word) -> TimedWord:
    return TimedWord(round(word.confidence, _DIGITS), round(word.end, _DIGITS), round(word.start, _DIGITS), word.word)


_DECODER = msgspec.json.Decoder(Request, strict=False)  # its clients write rates as text and numbers for truth


def decode(text: str) -> Request:
    """A text of the client.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return decode_json(_DECODER, text)


def encode(answer: Partial | Result | Alternatives) -> str:
    """An answer as text."""
    return _ENCODER.encode(answer).decode()
