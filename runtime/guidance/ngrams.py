"""An n-gram language model with back-off, stored as sorted arrays.

The n-grams of one order are a level of a trie: each has a key made of the index of its first
words in the level below and the id of its last word. Keys are sorted, so a look-up is a binary
search and an n-gram takes 16 bytes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from emf.runtime.errors import UsageError

IdArray: TypeAlias = npt.NDArray[np.int64]
UNKNOWN_WORDS = ("<unk>", "<UNK>")
SENTENCE_START = "<s>"
UNKNOWN_BELOW_RAREST = 1.0
"""Without <unk> in the model, a word it does not know is a tenth as likely as the rarest it knows (log10)."""


class Rows(NamedTuple):
    """The n-grams of one order as a file lists them.

    Attributes:
        ids: words, shape (count, order).
        log10: log10 of the probability of the last word after the others, shape (count,).
        backoff: log10 of the weight with which shorter n-grams go on, shape (count,).
    """

    ids: IdArray
    log10: npt.NDArray[np.float32]
    backoff: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Level:
    """The n-grams of one order, sorted by key."""

    keys: IdArray
    log10: npt.NDArray[np.float32]
    backoff: npt.NDArray[np.float32]

    def find(self, key: int) -> int:
        """Index of a key, or -1."""
        index = int(self.keys.searchsorted(key))
        return index if index < len(self.keys) and self.keys[index] == key else -1

    def find_all(self, keys: IdArray) -> IdArray:
        """Index of each key, or -1."""
        indices = np.minimum(self.keys.searchsorted(keys), len(self.keys) - 1)
        found: IdArray = np.where(self.keys[indices] == keys, indices, -1)
        return found


class Ngrams:
    """Words and the probabilities of their sequences. Immutable; safe to share."""

    def __init__(self, words: Sequence[str], orders: Sequence[Rows]) -> None:
        """Sort the n-grams into levels.

        Args:
            words: the vocabulary by id.
            orders: unigrams, one for every word and in the same order; bigrams; and so on.

        Raises:
            UsageError: an n-gram is listed twice, or its beginning is not listed at all.
        """
        self.words, orders = _with_unknown(tuple(words), orders)
        self.ids = {word: index for index, word in enumerate(self.words)}
        self.order = len(orders)
        self.alphabet = frozenset("".join(word for word in self.words if not word.startswith("<")))
        self.unknown_id = next(self.ids[word] for word in UNKNOWN_WORDS if word in self.ids)
        self.levels: tuple[Level, ...] = ()
        for rows in orders:
            self.levels = (*self.levels, self._sorted(rows))
        self.fingerprint = self._fingerprint()

    def _sorted(self, rows: Rows) -> Level:
        parents: IdArray = np.zeros(len(rows.ids), np.int64)
        for position, level in enumerate(self.levels):
            parents = level.find_all(parents * len(self.words) + rows.ids[:, position])
            if (parents < 0).any():
                orphan = rows.ids[int(parents.argmin())]
                beginning = self._spell(orphan[: position + 1])
                raise UsageError(f"{self._spell(orphan)!r} is listed, but its beginning {beginning!r} is not")
        keys = parents * len(self.words) + rows.ids[:, -1]
        order = np.argsort(keys, kind="stable")
        twice = np.flatnonzero(np.diff(keys[order]) == 0)
        if len(twice):
            raise UsageError(f"{self._spell(rows.ids[order[twice[0]]])!r} is listed twice")
        return Level(keys[order], rows.log10[order], rows.backoff[order])

    def _spell(self, ids: IdArray) -> str:
        return " ".join(self.words[index] for index in ids)[:60]

    def _fingerprint(self) -> str:
        digest = hashlib.sha256("\n".join(self.words).encode())
        for level in self.levels:
            for array in (level.keys, level.log10, level.backoff):
                digest.update(array.tobytes())
        return digest.hexdigest()

    def id_of(self, word: str) -> int:
        """Id of a word; that of the unknown word for others."""
        return self.ids.get(word, self.unknown_id)

    def log10_prob(self, context: Sequence[int], word: int) -> float:
        """Log10 of the probability of a word after others, with back-off.

        Args:
            context: ids of the words before it; those too far away do not count.
            word: its id.
        """
        backoff = 0.0
        for begin in range(max(0, len(context) - self.order + 1), len(context)):
            history = context[begin:]
            node = self._node(history)
            if node < 0:
                continue
            level = self.levels[len(history)]
            index = level.find(node * len(self.words) + word)
            if index >= 0:
                return backoff + float(level.log10[index])
            backoff += float(self.levels[len(history) - 1].backoff[node])
        return backoff + float(self.levels[0].log10[word])

    def _node(self, history: Sequence[int]) -> int:
        """Index of an n-gram in its level, or -1."""
        node = 0
        for level, word in zip(self.levels, history, strict=False):
            node = level.find(node * len(self.words) + word)
            if node < 0:
                break
        return node


def _with_unknown(words: tuple[str, ...], orders: Sequence[Rows]) -> tuple[tuple[str, ...], Sequence[Rows]]:
    """Give a vocabulary without a word for unknown ones that word."""
    if any(word in words for word in UNKNOWN_WORDS):
        return words, orders
    unigrams, *others = orders
    proper = [value for word, value in zip(words, unigrams.log10.tolist(), strict=True) if word != SENTENCE_START]
    floor = min(proper, default=0.0) - UNKNOWN_BELOW_RAREST
    extended = Rows(
        np.append(unigrams.ids, [[len(words)]], axis=0),
        np.append(unigrams.log10, np.float32(floor)),
        np.append(unigrams.backoff, np.float32(0.0)),
    )
    return (*words, UNKNOWN_WORDS[0]), [extended, *others]
