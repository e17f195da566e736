"""Word and character error rates, counted as jiwer counts them, without needing jiwer at run time."""

import re
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class EditCounts:
    """Edit operations between references and hypotheses, and the length of the references."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    reference_length: int = 0

    def __add__(self, other: "EditCounts") -> "EditCounts":
        """The errors of both together."""
        return EditCounts(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference_length + other.reference_length,
        )

    @property
    def total(self) -> int:
        """All edit operations."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """EditCounts over the length of the reference; with an empty reference, 0 or 1."""
        if self.reference_length == 0:
            return float(self.total > 0)
        return self.total / self.reference_length


def normalize(text: str) -> str:
    """Lower case, no punctuation but apostrophes within words, single spaces."""
    text = unicodedata.normalize("NFC", text).lower().replace("\u2019", "'")
    text = re.sub(r"[^\w\s']|_", " ", text)
    return " ".join(re.sub(r"(?<!\w)'|'(?!\w)", " ", text).split())


def count_errors(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> EditCounts:
    """Edit operations of a shortest alignment (Levenshtein), substitutions before deletions and insertions."""
    return _align(reference, hypothesis)[0]


def matches(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> tuple[bool, ...]:
    """Whether each item of the hypothesis stands in the reference, in the alignment that `count_errors` counts."""
    return _align(reference, hypothesis)[1]


def _align(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> tuple[EditCounts, tuple[bool, ...]]:
    rows, columns = len(reference) + 1, len(hypothesis) + 1
    distance = np.zeros((rows, columns), np.int32)
    distance[:, 0] = np.arange(rows)
    distance[0, :] = np.arange(columns)
    for i in range(1, rows):
        for j in range(1, columns):
            change = reference[i - 1] != hypothesis[j - 1]
            distance[i, j] = min(distance[i - 1, j - 1] + change, distance[i - 1, j] + 1, distance[i, j - 1] + 1)
    substitutions = deletions = insertions = 0
    matched = [False] * len(hypothesis)
    i, j = rows - 1, columns - 1
    while i or j:
        change = bool(i and j) and reference[i - 1] != hypothesis[j - 1]
        if i and j and distance[i, j] == distance[i - 1, j - 1] + change:
            substitutions += change
            matched[j - 1] = not change
            i, j = i - 1, j - 1
        elif i and distance[i, j] == distance[i - 1, j] + 1:
            deletions, i = deletions + 1, i - 1
        else:
            insertions, j = insertions + 1, j - 1
    return EditCounts(substitutions, deletions, insertions, len(reference)), tuple(matched)


def word_errors(pairs: Iterable[tuple[str, str]]) -> EditCounts:
    """Word errors over (reference, hypothesis) pairs, both normalised first."""
    return sum((count_errors(normalize(r).split(), normalize(h).split()) for r, h in pairs), EditCounts())
