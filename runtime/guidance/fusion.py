"""Shallow fusion: an n-gram model of words has a say in which hypotheses go on.

A word's probability is added to a hypothesis' score when the word ends: when the next piece
begins another one, or when the stream ends. Contexts run on over endpoints, and no end of a
sentence is scored. At an endpoint the open word counts, for the choice of the segment's text alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emf.runtime.artifact.byte_fallback import read_spelling
from emf.runtime.artifact.tokens import WORD_BOUNDARY, TokenTable
from emf.runtime.errors import UsageError, require
from emf.runtime.guidance.arpa import read_arpa
from emf.runtime.guidance.ngrams import SENTENCE_START, Ngrams
from emf.runtime.options import check_options, option

DEFAULT_WEIGHT = 0.3
MAX_WEIGHT = 10.0
MAX_WORD_SCORE = 100.0
_NATS = log(10.0)


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """Which words follow which, and how much that counts.

    Attributes:
        ngrams: the model.
        weight: multiplies the natural logarithm of a word's probability.
        word_score: added for every word.
    """

    ngrams: Ngrams
    weight: float = option(
        DEFAULT_WEIGHT, "Multiply the language model's logarithms by this.", low=0.0, high=MAX_WEIGHT
    )
    word_score: float = option(
        0.0,
        "Add this for every word with a language model; positive values give fewer deletions.",
        low=-MAX_WORD_SCORE,
        high=MAX_WORD_SCORE,
    )

    def __post_init__(self) -> None:
        require(self.ngrams, Ngrams, "n-grams, such as LanguageModel.read(path) gives")
        check_options(self)

    @classmethod
    def read(cls, path: str | Path, weight: float = DEFAULT_WEIGHT, word_score: float = 0.0) -> "LanguageModel":
        """A model of words from a file in ARPA form.

        Raises:
            UsageError: the file is missing or malformed, or a number makes no sense.
        """
        return cls(read_arpa(path), weight, word_score)


class WordPlace(NamedTuple):
    """Where a hypothesis stands.

    Attributes:
        context: ids of the last words that ended, as many as the model looks back.
        word: spelling of the word that is open; empty where none is.
        ending: what the score gains when that word ends.
    """

    context: tuple[int, ...]
    word: str
    ending: float


class Fusion:
    """A language model prepared for one vocabulary. Immutable; safe to share."""

    def __init__(self, model: LanguageModel, table: TokenTable) -> None:
        """Find out how the model spells what the pieces spell.

        Args:
            model: of words.
            table: the recognizer's vocabulary.

        Raises:
            UsageError: the language model is one of pieces, or of another alphabet; or a piece spans words.
        """
        self.model = model
        self._ngrams = model.ngrams
        self._spellings = table.spellings
        spanning = [spelled for spelled in self._spellings if WORD_BOUNDARY in spelled.lstrip(WORD_BOUNDARY)]
        if spanning:
            raise UsageError(f"expected pieces within words for a language model, found {spanning[0]!r:.40}")
        self._begins = np.array([spelled.startswith(WORD_BOUNDARY) for spelled in self._spellings])
        self._respell = _letter_case(table, self._ngrams)
        self._longest = max(len(word.encode()) for word in self._ngrams.words)
        start = (self._ngrams.ids[SENTENCE_START],) if SENTENCE_START in self._ngrams.ids else ()
        self.root = self.place(self._recent(start), "")

    def place(self, context: Sequence[int], word: str) -> WordPlace:
        """The place after the words `context`, in the middle of `word`."""
        # Longer than every word that is known, it stays unknown, whatever comes.
        word = word[: self._longest + 1]
        ending = 0.0
        if word:
            log10 = self._ngrams.log10_prob(context, self._id_of(word))
            ending = self.model.weight * _NATS * log10 + self.model.word_score
        return WordPlace(tuple(context), word, ending)

    def advance(self, place: WordPlace, token: int) -> WordPlace:
        """The place one token further."""
        spelled = self._spellings[token]
        if not self._begins[token]:
            return self.place(place.context, place.word + spelled) if spelled else place
        context = place.context
        if place.word:
            context = self._recent((*context, self._id_of(place.word)))
        return self.place(context, spelled.lstrip(WORD_BOUNDARY))

    def gains(self, places: Sequence[WordPlace], tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """What tokens add to the scores of n hypotheses, shape (n, k) as that of `tokens`."""
        endings = np.array([place.ending for place in places], np.float32)
        gains: npt.NDArray[np.float32] = np.where(self._begins[tokens], endings[:, None], np.float32(0.0))
        return gains

    def _id_of(self, word: str) -> int:
        return self._ngrams.id_of(self._respell(read_spelling(word)))

    def _recent(self, words: tuple[int, ...]) -> tuple[int, ...]:
        return words[max(0, len(words) - self._ngrams.order + 1) :]


def _letter_case(table: TokenTable, ngrams: Ngrams) -> Callable[[str], str]:
    """How to write the recognizer's words for the language model: as they are, in capitals or without."""
    if WORD_BOUNDARY in ngrams.alphabet:
        raise UsageError(
            f"expected a language model of words, found pieces with {WORD_BOUNDARY}; make it from plain text"
        )
    words = [word for word in ngrams.words if not word.startswith("<")]
    cases: tuple[Callable[[str], str], ...] = (str, str.upper, str.lower)
    best = max(cases, key=lambda case: len(set(map(case, table.alphabet)) & ngrams.alphabet))
    if not table.byte_alphabet and not _any_written(words, frozenset("".join(map(best, table.alphabet)))):
        raise UsageError(
            f"expected a language model in the recognizer's alphabet, found none of {len(words)} words that its "
            f"pieces can write; the first is {words[0] if words else ''!r:.40}"
        )
    return best


def _any_written(words: Iterable[str], alphabet: frozenset[str]) -> bool:
    return any(alphabet.issuperset(word) for word in words)
