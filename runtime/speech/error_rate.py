"""Word and character error rates, counted as jiwer counts them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein


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
    """Edit operations of a shortest alignment (Levenshtein), the one that rapidfuzz gives to jiwer too."""
    operations = Counter(operation.tag for operation in Levenshtein.editops(reference, hypothesis))
    return EditCounts(operations["replace"], operations["delete"], operations["insert"], len(reference))


def matches(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> tuple[bool, ...]:
    """Whether each item of the hypothesis stands in the reference, in the alignment that `count_errors` counts."""
    edited = {op.dest_pos for op in Levenshtein.editops(reference, hypothesis) if op.tag != "delete"}
    return tuple(position not in edited for position in range(len(hypothesis)))


def word_errors(pairs: Iterable[tuple[str, str]]) -> EditCounts:
    """Word errors over (reference, hypothesis) pairs, both normalised first."""
    return sum((count_errors(normalize(r).split(), normalize(h).split()) for r, h in pairs), EditCounts())
