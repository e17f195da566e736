"""What the joiner said in one step, of many streams at once."""

from dataclasses import dataclass

import numpy as np

from emf.runtime.arrays import FloatArray, IdArray
from emf.runtime.search.batched.prefixes import IntArray
from emf.runtime.search.model import Joined


@dataclass(slots=True)
class Answers:
    """The joiner's answers by number.

    Attributes:
        blank: log-probability of the blank, shape (n,).
        top: log-probabilities of the best symbols, best first, shape (n, k).
        top_ids: these symbols.
        gains: what they add to the score, see `Prefixes.gains`.
    """

    blank: FloatArray
    top: FloatArray
    top_ids: IdArray
    gains: FloatArray

    @classmethod
    def of(cls, joined: Joined, gains: FloatArray) -> "Answers":
        """The first answers."""
        return cls(joined.blank, joined.top, joined.top_ids, gains)

    def add(self, joined: Joined, gains: FloatArray) -> IntArray:
        """The numbers of n more answers."""
        first = len(self.blank)
        unguided = self.gains is self.top and gains is joined.top
        self.blank = np.concatenate([self.blank, joined.blank])
        self.gains = np.concatenate([self.gains, gains])
        self.top = self.gains if unguided else np.concatenate([self.top, joined.top])
        self.top_ids = np.concatenate([self.top_ids, joined.top_ids])
        return np.arange(first, len(self.blank))
