"""Token ids to pieces to text, and the tokens file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emf.runtime.artifact.byte_fallback import is_byte_piece, read_spelling, spell_piece
from emf.runtime.artifact.files import read_verified
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.errors import ArtifactError

WORD_BOUNDARY = "\u2581"
BLANK_PIECE = "<blank>"
HIDDEN_PIECES = ("<unk>", "<s>", "</s>", "<pad>", BLANK_PIECE)
MAX_TOKENS_BYTES = 64 * 2**20


@dataclass(frozen=True)
class TokenTable:
    """The pieces by id, and which ids never appear in text.

    Source of `text`: torchaudio's `_SentencePieceTokenProcessor`.
    """

    pieces: tuple[str, ...]
    hidden_ids: frozenset[int]

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """What each id spells (see `byte_fallback`), with the sign where a word begins; empty for a hidden id."""
        return tuple("" if i in self.hidden_ids else spell_piece(piece) for i, piece in enumerate(self.pieces))

    @cached_property
    def alphabet(self) -> frozenset[str]:
        """The characters that pieces spell, without those that only bytes do."""
        return frozenset("".join(spelled for spelled, piece in self._visible if not is_byte_piece(piece)))

    @cached_property
    def byte_alphabet(self) -> frozenset[str]:
        """The bytes that pieces spell; empty without byte fallback."""
        return frozenset(spelled for spelled, piece in self._visible if is_byte_piece(piece))

    @property
    def _visible(self) -> list[tuple[str, str]]:
        return [pair for pair in zip(self.spellings, self.pieces, strict=True) if pair[0]]

    def text(self, tokens: Iterable[int]) -> str:
        """Text of a sequence of ids."""
        return read_spelling(self.continued("", tokens))

    def continued(self, spelled: str, tokens: Iterable[int]) -> str:
        """Spelling of the ids that made `spelled` and of those that follow, with a space where a word begins."""
        return (spelled + "".join(self.spellings[token] for token in tokens).replace(WORD_BOUNDARY, " ")).lstrip()

    def starts_word(self, token: int) -> bool:
        """Whether a piece begins a new word."""
        return self.pieces[token].startswith(WORD_BOUNDARY)


def write_tokens(path: Path, pieces: Sequence[str]) -> None:
    """Write `piece id`, one a line."""
    path.write_text("".join(f"{piece} {index}\n" for index, piece in enumerate(pieces)), encoding="utf-8")


def read_tokens(path: Path) -> tuple[str, ...]:
    """Read a tokens file: `piece id`, one a line, in any order, every id from 0 on exactly once.

    Raises:
        ArtifactError: the file is missing, too large, or not of this form.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: expected a tokens file with a piece and an id on every line, found none")
    if path.stat().st_size > MAX_TOKENS_BYTES:
        raise ArtifactError(f"{path}: {path.stat().st_size} bytes are too many for a tokens file")
    return _parse_tokens(path, path.read_bytes())


def _parse_tokens(path: Path, content: bytes) -> tuple[str, ...]:
    """The pieces in the `content` of a tokens file, which lies at `path`."""
    pieces: dict[int, str] = {}
    try:
        lines = content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: expected UTF-8 text with a piece and an id on every line ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        piece, _, index = line.rstrip("\r").rpartition(" ")
        valid = bool(piece) and index.isascii() and index.isdigit() and len(index) < 10
        if not valid or int(index) in pieces:
            raise ArtifactError(
                f"{path}, line {number}: expected a piece and an id not used before, found {line!r:.60}"
            )
        pieces[int(index)] = piece
    if sorted(pieces) != list(range(len(pieces))):
        raise ArtifactError(f"{path}: expected the ids 0 to {len(pieces) - 1}, but some are missing")
    return tuple(pieces[index] for index in range(len(pieces)))


def load_tokens(manifest: Manifest) -> TokenTable:
    """The artifact's token table."""
    file = manifest.vocabulary.file
    path = manifest.path(file)
    if file.bytes > MAX_TOKENS_BYTES:
        raise ArtifactError(f"{path}: {file.bytes} bytes are too many for a tokens file")
    pieces = _parse_tokens(path, read_verified(path, file))
    if len(pieces) != manifest.geometry.num_symbols:
        raise ArtifactError(
            f"{path}: expected {manifest.geometry.num_symbols} pieces as the manifest says, found {len(pieces)}; "
            "export the model again"
        )
    return TokenTable(pieces, frozenset(manifest.vocabulary.hidden_ids))
