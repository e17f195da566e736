"""What guides the search of one stream, phrases and a language model, as one value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emf.runtime.arrays import FloatArray, IdArray
from emf.runtime.guidance.biasing import Biasing, BiasNode
from emf.runtime.guidance.fusion import Fusion, WordPlace


class Place(NamedTuple):
    """Where a hypothesis stands in the guidance of its stream.

    Attributes:
        phrase: in the phrases; `None` without phrases.
        word: in the language model; `None` without one.
    """

    phrase: BiasNode | None = None
    word: WordPlace | None = None


@dataclass(frozen=True, slots=True)
class Guidance:
    """Phrases, a language model, or both. Immutable; safe to share.

    Attributes:
        biasing: phrases that are likelier in this stream.
        fusion: the language model of this stream.
    """

    biasing: Biasing | None = None
    fusion: Fusion | None = None

    def __bool__(self) -> bool:
        return self.biasing is not None or self.fusion is not None

    @property
    def root(self) -> Place:
        """Where every stream begins."""
        return Place(self.biasing.root if self.biasing else None, self.fusion.root if self.fusion else None)

    def guided(self, log_probs: FloatArray, places: Sequence[Place], token_ids: IdArray) -> FloatArray:
        """What each token adds to the score of each of n hypotheses.

        Args:
            log_probs: what the model says, shape (n, k).
            places: one a hypothesis.
            token_ids: shape (n, k).

        Returns:
            Shape (n, k), float32.
        """
        if self.biasing is not None:
            bonus = [
                [self.biasing.advance(place.phrase or self.biasing.root, token)[1] for token in ids]
                for place, ids in zip(places, token_ids.tolist(), strict=True)
            ]
            log_probs = log_probs + np.array(bonus, np.float32)
        if self.fusion is not None:
            log_probs = log_probs + self.fusion.gains([place.word or self.fusion.root for place in places], token_ids)
        return log_probs

    def advance(self, place: Place, token: int) -> Place:
        """The place one token further."""
        biasing, fusion = self.biasing, self.fusion
        return Place(
            None if biasing is None else biasing.advance(place.phrase or biasing.root, token)[0],
            None if fusion is None else fusion.advance(place.word or fusion.root, token),
        )

    def ending(self, place: Place) -> float:
        """What the score gains where the stream ends, and with it the word that is open."""
        return place.word.ending if place.word else 0.0


NO_GUIDANCE = Guidance()
