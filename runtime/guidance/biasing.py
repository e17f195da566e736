"""Contextual biasing: phrases that are likelier here than the model thinks.

Phrases are matched by their characters, so it does not matter how the model cuts them into
pieces. Every character matched earns its share of the phrase's score; when a phrase breaks off,
what it earned is given back. A phrase counts where it begins and ends with a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from emf.runtime.artifact.byte_fallback import spell_as_bytes
from emf.runtime.artifact.tokens import WORD_BOUNDARY, TokenTable
from emf.runtime.errors import UsageError
from emf.runtime.guidance.phrases import check_phrases, place_of


@dataclass(slots=True, eq=False)
class BiasNode:
    """A place in the trie of phrases.

    Attributes:
        path: characters from the root.
        bonus: earned on the way here.
        score: of the phrase that ends here; `None` where none does.
        kept: what stays if the phrase breaks off: the score of the longest one that ended on the way.
        kept_length: characters of that one.
        children: next places by character.
    """

    path: str = ""
    bonus: float = 0.0
    score: float | None = None
    kept: float = 0.0
    kept_length: int = 0
    children: dict[str, "BiasNode"] = field(default_factory=dict)


class Biasing:
    """Phrases with their scores, prepared for one vocabulary. Immutable for callers; safe to share."""

    def __init__(self, phrases: Mapping[str, float], table: TokenTable) -> None:
        """Build the trie.

        Args:
            phrases: natural logarithm added to the score of a transcript for each phrase, complete.
            table: the model's vocabulary.

        Raises:
            UsageError: no phrases with scores, or one that cannot be written with the model's pieces.
        """
        self.phrases = dict(check_phrases(phrases))
        self.root = BiasNode()
        self._spellings = table.spellings
        self._known: dict[tuple[BiasNode, int], tuple[BiasNode, float]] = {}
        for phrase, score in self.phrases.items():
            try:
                self._add(_spell(phrase, table), score)
            except UsageError as error:
                raise UsageError(f"{place_of(phrase, phrases)}{error}") from error
        _settle(self.root)

    def _add(self, characters: str, score: float) -> None:
        node = self.root
        for index, character in enumerate(characters, start=1):
            share = score * index / len(characters)
            known = node.children.get(character)
            if known is None:
                node.children[character] = known = BiasNode(characters[:index], share)
            elif abs(share) > abs(known.bonus):
                known.bonus = share
            node = known
        node.score = score

    def advance(self, node: BiasNode, token: int) -> tuple[BiasNode, float]:
        """Follow one token from `node`: the new place, and what it adds to the score (or takes back)."""
        known = self._known.get((node, token))
        if known is None:
            known = self._known[node, token] = self._follow(node, self._spellings[token])
        return known

    def _follow(self, node: BiasNode, spelled: str) -> tuple[BiasNode, float]:
        begin, kept = node.bonus, 0.0
        characters = spelled
        while characters:
            character, rest = characters[0], characters[1:]
            if character in node.children:
                node, characters = node.children[character], rest
            elif node is self.root:
                characters = rest
            elif character == WORD_BOUNDARY and node.score is not None:
                kept += node.score
                node = self.root
            else:
                # The phrase breaks off: another may begin with a later word of what was matched.
                kept += node.kept
                again = node.path.find(WORD_BOUNDARY, node.kept_length or 1)
                characters = (node.path[again:] if again > 0 else "") + characters
                node = self.root
        return node, kept + node.bonus - begin

    def find(self, path: str) -> BiasNode:
        """The place with this path.

        Raises:
            KeyError: there is none.
        """
        node = self.root
        for character in path:
            node = node.children[character]
        return node


def can_spell(phrase: str, table: TokenTable) -> bool:
    """Whether a phrase can be written with the pieces of a vocabulary."""
    try:
        _spell(phrase, table)
    except UsageError:
        return False
    return True


def _spell(phrase: str, table: TokenTable) -> str:
    """A phrase as the pieces spell it: as it is, in small letters or in capitals, with bytes only for what is left.

    Raises:
        UsageError: pieces and bytes do not suffice.
    """
    written = "".join(WORD_BOUNDARY + word for word in phrase.split())
    variants = (written, written.lower(), written.upper())
    spelled = min(variants, key=lambda variant: len(set(variant) - table.alphabet))
    missing = set(spelled) - table.alphabet
    if not missing:
        return spelled
    unknown = sorted(c for c in missing if not table.byte_alphabet.issuperset(spell_as_bytes(c)))
    if unknown:
        raise UsageError(f"the phrase {phrase!r:.40} cannot be written with the model's pieces: it has {unknown[:3]}")
    return "".join(spell_as_bytes(c) if c in missing else c for c in spelled)


def _settle(root: BiasNode) -> None:
    """Note at every place the longest phrase that ended, with a word, on the way to it."""
    stack = [root]
    while stack:
        node = stack.pop()
        for character, child in node.children.items():
            ended = node.score if character == WORD_BOUNDARY else None
            child.kept = node.kept if ended is None else ended
            child.kept_length = node.kept_length if ended is None else len(node.path)
            stack.append(child)
