"""Contextual biasing: phrases that are likelier here than the model thinks.

Phrases are matched by their characters, so it does not matter how the model cuts them into
pieces. Every character matched earns its share of the phrase's score; when a phrase breaks off,
what it earned is given back. A phrase counts where it begins and ends with a word.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from emf.runtime.artifact.tokens import WORD_BOUNDARY, TokenTable
from emf.runtime.errors import UsageError

DEFAULT_SCORE = 6.0
MAX_PHRASES = 100_000
MAX_PHRASE_LENGTH = 1_000
MAX_SCORE = 1_000.0


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
            UsageError: a phrase is empty, too long, or cannot be written with the model's pieces.
        """
        if len(phrases) > MAX_PHRASES:
            raise UsageError(f"expected at most {MAX_PHRASES} phrases, found {len(phrases)}")
        self.phrases = dict(phrases)
        self.root = BiasNode()
        self._pieces = ["" if i in table.hidden_ids else piece for i, piece in enumerate(table.pieces)]
        self._known: dict[tuple[BiasNode, int], tuple[BiasNode, float]] = {}
        alphabet = set("".join(self._pieces))
        for phrase, score in phrases.items():
            self._add(_spell(phrase, alphabet), score)
        _settle(self.root)

    def _add(self, characters: str, score: float) -> None:
        if not -MAX_SCORE <= score <= MAX_SCORE:
            raise UsageError(f"expected a score from -{MAX_SCORE:.0f} to {MAX_SCORE:.0f}, found {score}")
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
            known = self._known[node, token] = self._follow(node, self._pieces[token])
        return known

    def _follow(self, node: BiasNode, piece: str) -> tuple[BiasNode, float]:
        begin, kept = node.bonus, 0.0
        characters = piece
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


def _spell(phrase: str, alphabet: set[str]) -> str:
    words = phrase.split()
    if not words or len(phrase) > MAX_PHRASE_LENGTH:
        raise UsageError(f"expected a phrase of 1 to {MAX_PHRASE_LENGTH} characters, found {phrase!r:.40}")
    for variant in (words, [w.lower() for w in words], [w.upper() for w in words]):
        characters = "".join(WORD_BOUNDARY + word for word in variant)
        if set(characters) <= alphabet:
            return characters
    unknown = sorted(set("".join(words)) - alphabet)
    raise UsageError(f"the phrase {phrase!r:.40} cannot be written with the model's pieces: it has {unknown[:3]}")


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


def parse_phrases(lines: Iterable[str]) -> dict[str, float]:
    """Phrases, one a line, each with an optional score behind a tab.

    Raises:
        UsageError: a score is no number.
    """
    phrases: dict[str, float] = {}
    for number, line in enumerate(lines, start=1):
        phrase, tab, score = line.strip().partition("\t")
        if not phrase or phrase.startswith("#"):
            continue
        try:
            phrases[phrase] = float(score) if tab else DEFAULT_SCORE
        except ValueError as error:
            raise UsageError(
                f"line {number}: expected a phrase, a tab and a number, found {line.strip()!r:.60}"
            ) from error
    return phrases
