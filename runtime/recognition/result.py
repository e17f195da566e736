"""What a stream has understood so far."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A word, its start and end in seconds of stream time, and a confidence in [0, 1]."""

    word: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Alternative:
    """One hypothesis of the beam: its text and its log-probability."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Result:
    """The best hypothesis of a stream's current segment.

    Attributes:
        text: the transcript.
        token_ids: its tokens.
        tokens: their pieces.
        timestamps: when each token was emitted, seconds of stream time.
        log_probs: log-probability with which each was emitted.
        words: the words of `text`.
        score: log-probability of the whole hypothesis.
        is_final: the audio has ended and all of it is decoded.
        stable_text: a prefix of `text` that never changes again.
        segment: index of the segment, from 0; `Recognizer.reset` begins the next.
        start_time: where the segment begins, seconds of stream time.
        nbest: all hypotheses, best first.
        end_time: up to where the audio is decoded, seconds of stream time.
        ends_segment: no further result of this segment comes: `Recognizer.reset` ended it, or the audio has ended.
    """

    text: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    timestamps: tuple[float, ...]
    log_probs: tuple[float, ...]
    words: tuple[Word, ...]
    score: float
    is_final: bool
    stable_text: str
    segment: int
    start_time: float
    nbest: tuple[Alternative, ...]
    end_time: float = 0.0
    ends_segment: bool = False
