"""What a stream has understood so far, and how tokens become words."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from emf.runtime.tokens import TokenTable


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


def words_of(
    table: TokenTable,
    tokens: Sequence[int],
    timestamps: Sequence[float],
    log_probs: Sequence[float],
    token_duration: float,
) -> tuple[Word, ...]:
    """Group tokens into words.

    A word starts with its first token and ends `token_duration` seconds after its last one began;
    its confidence is the geometric mean of its tokens' probabilities.
    """
    groups: list[list[int]] = []
    for index, token in enumerate(tokens):
        if token in table.hidden_ids:
            continue
        if not groups or table.starts_word(token):
            groups.append([])
        groups[-1].append(index)
    words = []
    for group in groups:
        text = table.text(tokens[index] for index in group).strip()
        if text:
            confidence = min(1.0, exp(sum(log_probs[index] for index in group) / len(group)))
            end = timestamps[group[-1]] + token_duration
            words.append(Word(text, timestamps[group[0]], end, confidence))
    return tuple(words)
