"""Guidance made ready for one vocabulary, once for all the streams that ask for the same."""

from collections.abc import Mapping
from functools import lru_cache

from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.errors import require
from emf.runtime.guidance.biasing import Biasing
from emf.runtime.guidance.fusion import Fusion, LanguageModel
from emf.runtime.guidance.phrases import PhraseFile, check_phrases

_KEPT = 4


class Preparation:
    """Prepares phrases and language models, and keeps what was asked for lately. Safe to share between threads.

    Ten thousand phrases take a third of a second to prepare, and a call centre gives the same ones to every stream.
    """

    def __init__(self, table: TokenTable) -> None:
        """Prepare for the pieces of `table`."""
        self.table = table
        self._biasing = lru_cache(maxsize=_KEPT)(self._make_biasing)
        self._fusion = lru_cache(maxsize=_KEPT)(self._make_fusion)

    def biasing(self, phrases: Mapping[str, float]) -> Biasing | None:
        """The phrases, ready; `None` for no phrases.

        Raises:
            UsageError: no phrases with scores, or one that cannot be written with the model's pieces.
        """
        if isinstance(phrases, PhraseFile):
            return Biasing(phrases, self.table) if phrases else None
        scores = check_phrases(phrases)
        return self._biasing(scores) if scores else None

    def fusion(self, model: LanguageModel) -> Fusion:
        """The language model, ready.

        Raises:
            UsageError: no language model, or one of no use with this vocabulary.
        """
        require(model, LanguageModel, "a language model, such as LanguageModel.read(path) gives")
        return self._fusion(model)

    def _make_biasing(self, phrases: tuple[tuple[str, float], ...]) -> Biasing:
        return Biasing(dict(phrases), self.table)

    def _make_fusion(self, model: LanguageModel) -> Fusion:
        return Fusion(model, self.table)
