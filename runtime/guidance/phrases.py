"""Phrases with their scores: from a caller, who may pass anything, or from a file."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

from emf.runtime.errors import UsageError

DEFAULT_SCORE = 6.0
MAX_PHRASES = 100_000
MAX_PHRASE_LENGTH = 1_000
MAX_SCORE = 1_000.0
_SCORE_OF_A_TOKEN = re.compile(r"\s:\s*[-+]?[0-9.]+$")


@dataclass(frozen=True, slots=True, eq=False)
class PhraseFile(Mapping[str, float]):
    """Phrases that remember where they stand.

    Attributes:
        path: the file.
        scores: natural logarithm that each adds to a transcript.
        lines: number of the line of each, from 1.
    """

    path: str
    scores: Mapping[str, float]
    lines: Mapping[str, int]

    def __getitem__(self, phrase: str) -> float:
        return self.scores[phrase]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)


def read_phrases(path: Path) -> PhraseFile:
    """Read a file of phrases.

    Raises:
        UsageError: the file is missing, no text, or malformed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a text file with a phrase on every line ({error})") from error
    return parse_phrases(text.splitlines(), str(path))


def parse_phrases(lines: Iterable[str], path: str = "phrases") -> PhraseFile:
    """Phrases, one a line, each with an optional score behind a tab.

    Args:
        lines: of the file.
        path: its name, for messages.

    Raises:
        UsageError: a score is no number, or one as sherpa-onnx writes them.
    """
    scores: dict[str, float] = {}
    numbers: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        phrase, tab, score = line.strip().partition("\t")
        if not phrase or phrase.startswith("#"):
            continue
        if _SCORE_OF_A_TOKEN.search(phrase):
            raise UsageError(
                f"{path}, line {number}: expected the score behind a tab, found {phrase!r:.60}; what sherpa-onnx "
                "writes behind a colon counts for each token, here a score counts for the whole phrase"
            )
        try:
            scores[phrase] = float(score) if tab else DEFAULT_SCORE
        except ValueError as error:
            raise UsageError(
                f"{path}, line {number}: expected a phrase, a tab and a number, found {line.strip()!r:.60}"
            ) from error
        numbers[phrase] = number
    return PhraseFile(path, scores, numbers)


def check_phrases(phrases: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """The phrases with their scores, if they are that.

    Raises:
        UsageError: no mapping, too many phrases, an empty or overlong one, or a score that is no sensible number.
    """
    if not isinstance(phrases, Mapping):
        raise UsageError(
            f"expected phrases with their scores, such as {{'new york': {DEFAULT_SCORE}}}, "
            f"found {type(phrases).__name__}"
        )
    if len(phrases) > MAX_PHRASES:
        raise UsageError(f"expected at most {MAX_PHRASES} phrases, found {len(phrases)}")
    return tuple((_checked_phrase(phrase), _checked_score(phrase, phrases)) for phrase in phrases)


def _checked_phrase(phrase: object) -> str:
    if not isinstance(phrase, str) or not phrase.split() or len(phrase) > MAX_PHRASE_LENGTH:
        found = repr(phrase)[:40]
        raise UsageError(f"expected a phrase of 1 to {MAX_PHRASE_LENGTH} characters, found {found}")
    return phrase


def _checked_score(phrase: str, phrases: Mapping[str, float]) -> float:
    score: object = phrases[phrase]
    if isinstance(score, bool) or not isinstance(score, Real) or not -MAX_SCORE <= float(score) <= MAX_SCORE:
        raise UsageError(
            f"{place_of(phrase, phrases)}expected a score from -{MAX_SCORE:.0f} to {MAX_SCORE:.0f} for {phrase!r:.40}, "
            f"found {score!r:.40}"
        )
    return float(score)


def place_of(phrase: str, phrases: Mapping[str, float]) -> str:
    """Where a phrase stands, for the beginning of a message; empty for one of no file."""
    return f"{phrases.path}, line {phrases.lines[phrase]}: " if isinstance(phrases, PhraseFile) else ""
