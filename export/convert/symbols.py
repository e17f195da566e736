"""A closed vocabulary: the rows of joiner and predictor for the symbols that remain, in their old order."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from emf.export.vocabulary import Pieces
from emf.runtime.errors import UsageError

_MAX_BYTES = 16 * 2**20


def read_symbols(path: Path, pieces: Pieces) -> tuple[int, ...]:
    """The ids to keep, ascending, the blank last.

    Args:
        path: a piece or an id on each line, or both as in a tokens.txt; what is a piece of the model is taken as one.
        pieces: of the model.

    Raises:
        UsageError: missing, no text, a line that names no symbol of the model, or no symbol beside the blank.
    """
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        raise UsageError(f"{path}: expected a file with a piece or an id on each line; name such a file as --symbols")
    ids = {piece: index for index, piece in enumerate(pieces.pieces)}
    blank = len(pieces.pieces) - 1
    kept = {blank}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        piece, _, index = line.strip().rpartition(" ")
        name = piece if piece in ids and str(ids[piece]) == index else line.strip()
        if not name:
            continue
        given = int(name) if name.isascii() and name.isdigit() and len(name) < 10 else None
        found = ids.get(name, given)
        if found is None or found > blank:
            raise UsageError(
                f"{path}, line {number}: expected a piece of the model or an id from 0 to {blank}, found {name!r:.40}; "
                "the artifact's tokens.txt lists them"
            )
        kept.add(found)
    if len(kept) < 2:
        raise UsageError(f"{path}: expected at least one symbol beside the blank, found none")
    return tuple(sorted(kept))


def kept_pieces(pieces: Pieces, kept: tuple[int, ...]) -> Pieces:
    """The vocabulary of the symbols kept."""
    places = {old: new for new, old in enumerate(kept)}
    hidden = tuple(places[index] for index in pieces.hidden_ids if index in places)
    return Pieces(tuple(pieces.pieces[index] for index in kept), hidden)


def keep_symbols(rnnt: Any, kept: tuple[int, ...]) -> None:
    """Leave only these rows of a torchaudio RNNT's joiner and embedding."""
    rows = list(kept)
    joiner, embedding = rnnt.joiner.linear, rnnt.predictor.embedding
    rnnt.joiner.linear = linear_of(joiner.weight[rows], joiner.bias[rows])
    rnnt.predictor.embedding = nn.Embedding(len(rows), embedding.embedding_dim)
    rnnt.predictor.embedding.weight = nn.Parameter(embedding.weight.detach()[rows], requires_grad=False)


def linear_of(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A layer of these weights, (out, in), in memory of their own, and biases."""
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    linear.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return linear
