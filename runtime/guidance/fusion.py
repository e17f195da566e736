"""Shallow fusion: an n-gram model of words has a say in which hypotheses go on.

A word's probability is added to a hypothesis' score when the word ends: when the next piece
begins another one, or when the stream ends. Contexts run on over endpoints, and no end of a
sentence is scored. At an endpoint the open word counts, for the choice of the segment's text alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emf.runtime.artifact.tokens import WORD_BOUNDARY, TokenTable
from emf.runtime.errors import UsageError
from emf.runtime.guidance.arpa import read_arpa
from emf.runtime.guidance.ngrams import SENTENCE_START, Ngrams

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
        word_score: added for every word; positive values give fewer deletions.
    """

    ngrams: Ngrams
    weight: float = DEFAULT_WEIGHT
    word_score: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight <= MAX_WEIGHT:
            raise UsageError(f"expected a language model weight from 0 to {MAX_WEIGHT:.0f}, found {self.weight}")
        if not -MAX_WORD_SCORE <= self.word_score <= MAX_WORD_SCORE:
            limit = f"-{MAX_WORD_SCORE:.0f} to {MAX_WORD_SCORE:.0f}"
            raise UsageError(f"expected a word score from {limit}, found {self.word_score}")

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
        word: characters of the word that is open; empty where none is.
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
        self._pieces = ["" if i in table.hidden_ids else piece for i, piece in enumerate(table.pieces)]
        spanning = [piece for piece in self._pieces if WORD_BOUNDARY in piece.lstrip(WORD_BOUNDARY)]
        if spanning:
            raise UsageError(f"expected pieces within words for a language model, found {spanning[0]!r:.40}")
        self._begins = np.array([piece.startswith(WORD_BOUNDARY) for piece in self._pieces])
        self._respell = _spelling(frozenset("".join(self._pieces)), self._ngrams)
        self._longest = max(map(len, self._ngrams.words))
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
        piece = self._pieces[token]
        if not self._begins[token]:
            return self.place(place.context, place.word + piece) if piece else place
        context = place.context
        if place.word:
            context = self._recent((*context, self._id_of(place.word)))
        return self.place(context, piece.lstrip(WORD_BOUNDARY))

    def gains(self, places: Sequence[WordPlace], tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """What tokens add to the scores of n hypotheses, shape (n, k) as that of `tokens`."""
        endings = np.array([place.ending for place in places], np.float32)
        gains: npt.NDArray[np.float32] = np.where(self._begins[tokens], endings[:, None], np.float32(0.0))
        return gains

    def _id_of(self, word: str) -> int:
        return self._ngrams.id_of(self._respell(word))

    def _recent(self, words: tuple[int, ...]) -> tuple[int, ...]:
        return words[max(0, len(words) - self._ngrams.order + 1) :]


def _spelling(alphabet: frozenset[str], ngrams: Ngrams) -> Callable[[str], str]:
    """How to write the recognizer's words for the language model: as they are, in capitals or without."""
    if WORD_BOUNDARY in ngrams.alphabet:
        raise UsageError(
            f"expected a language model of words, found pieces with {WORD_BOUNDARY}; make it from plain text"
        )
    spellings: tuple[Callable[[str], str], ...] = (str, str.upper, str.lower)
    shared = [len({spell(character) for character in alphabet} & ngrams.alphabet) for spell in spellings]
    if not max(shared):
        raise UsageError("expected a language model in the recognizer's alphabet, found no character in common")
    return spellings[shared.index(max(shared))]
