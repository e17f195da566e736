"""The vocabulary of a model: from a SentencePiece model or a tokens.txt to pieces by id."""

from dataclasses import dataclass
from pathlib import Path

from emf.runtime.artifact.tokens import BLANK_PIECE, HIDDEN_PIECES, WORD_BOUNDARY, read_tokens
from emf.runtime.errors import CheckpointError, MissingDependency

_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Pieces:
    """Pieces by id, the blank last, and the ids that torchaudio leaves out of text."""

    pieces: tuple[str, ...]
    hidden_ids: tuple[int, ...]


def numbered_pieces(num_symbols: int) -> Pieces:
    """Pieces named by their ids, for a model without a vocabulary."""
    return Pieces((*(f"{WORD_BOUNDARY}{index}" for index in range(num_symbols - 1)), BLANK_PIECE), (num_symbols - 1,))


def read_pieces(path: Path, num_symbols: int) -> Pieces:
    """Read a SentencePiece model (`.model`) or a tokens file (anything else).

    Raises:
        CheckpointError: missing, malformed, or of another size than the model's vocabulary.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a SentencePiece model or a tokens.txt, but there is no such file")
    pieces, hidden = _from_text(path) if path.suffix == ".txt" else _from_sentencepiece(path)
    if len(pieces) == num_symbols - 1:
        pieces = (*pieces, BLANK_PIECE)
    if len(pieces) != num_symbols:
        raise CheckpointError(
            f"{path}: expected {num_symbols - 1} pieces for a model of {num_symbols} symbols (the last is the blank), "
            f"found {len(pieces)}; pass the vocabulary the model was trained with"
        )
    return Pieces(pieces, tuple(sorted({*hidden, num_symbols - 1})))


def _from_text(path: Path) -> tuple[tuple[str, ...], set[int]]:
    pieces = read_tokens(path)
    return pieces, {index for index, piece in enumerate(pieces) if piece in HIDDEN_PIECES}


def _from_sentencepiece(path: Path) -> tuple[tuple[str, ...], set[int]]:
    try:
        import sentencepiece
    except ModuleNotFoundError as error:
        raise MissingDependency.of("a SentencePiece model", "sentencepiece", "export") from error
    if path.stat().st_size > _MAX_BYTES:
        raise CheckpointError(f"{path}: {path.stat().st_size} bytes are too many for a SentencePiece model")
    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except Exception as error:
        raise CheckpointError(
            f"{path}: expected a SentencePiece model ({error}); a tokens file must end in .txt"
        ) from error
    # The same ids as torchaudio's `_SentencePieceTokenProcessor` removes.
    hidden = {index for index in (model.unk_id(), model.eos_id(), model.pad_id()) if index >= 0}
    return tuple(model.id_to_piece(index) for index in range(model.get_piece_size())), hidden
