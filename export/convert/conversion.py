"""A trained model and speech in, a smaller model of the same interface out, with a record of what was done.

The converted `rnnt` is a torchaudio RNNT as before, whose projections to keys and values have a low rank, whose
feed-forward networks have fewer neurons, and whose joiner and embedding have fewer rows. torchaudio runs it, and is the
oracle for the graphs, which compute the same in another way.
"""

import copy
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from emf.export.convert.latents import Directions, directions, expanded, latent_of
from emf.export.convert.neurons import select_neurons
from emf.export.convert.ranks import ranks_of_share, spread_ranks
from emf.export.convert.statistics import Moments, speech_moments
from emf.export.convert.symbols import keep_symbols, kept_pieces, linear_of, read_symbols
from emf.export.graphs.latent_attention import Latent
from emf.export.model import SourceModel
from emf.runtime.errors import AudioError, UsageError

_LOGGER = logging.getLogger(__name__)
_FEW_ROWS = 4
"""Rows a number to be found: below, the conversion fits the recordings more than the language."""

Item = TypeVar("Item")
Progress = Callable[[Iterable[Item], int, str], Iterable[Item]]


def no_progress(items: Iterable[Item], total: int, what: str) -> Iterable[Item]:
    """Shows nothing."""
    return items


@dataclass(frozen=True)
class ConversionOptions:
    """What to convert.

    Attributes:
        cache_rank: numbers kept of a frame instead of keys and values: a mean rank of at least 1, or the share of the
            energy below 1 that every layer keeps; `None` keeps keys and values.
        ffn_neurons: share of each feed-forward network's neurons to keep.
        symbols: file of the symbols to keep; `None` keeps all.
    """

    cache_rank: float | None = None
    ffn_neurons: float | None = None
    symbols: Path | None = None

    def __post_init__(self) -> None:
        rank, share = self.cache_rank, self.ffn_neurons
        if rank is not None and not (0 < rank < 1 or (rank >= 1 and float(rank).is_integer())):
            raise UsageError(
                f"expected a cache rank that is a whole number from 1 on, or a share of energy below 1, found {rank}"
            )
        if share is not None and not 0 < share <= 1:
            raise UsageError(f"expected a share of neurons above 0 and at most 1, found {share}")

    @property
    def needs_speech(self) -> bool:
        """Whether speech decides what stays."""
        return self.cache_rank is not None or self.ffn_neurons is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to convert."""
        return not self.needs_speech and self.symbols is None


@dataclass(frozen=True)
class ConversionRecord:
    """What was done, as it stands in the manifest.

    Attributes:
        ranks: of each layer's latent; empty if keys and values stay.
        lost_energy: share of the energy of each layer's keys and values that the latent does not hold.
        neurons: kept of each layer's feed-forward network; empty if all stay.
        neuron_errors: energy of what each layer's output lost, over that of the output's variation.
        symbols: ids in the original vocabulary of those kept; empty if all stay.
        rows: frames of speech that decided.
        weights_sha256: of all that was changed.
    """

    ranks: tuple[int, ...] = ()
    lost_energy: tuple[float, ...] = ()
    neurons: tuple[int, ...] = ()
    neuron_errors: tuple[float, ...] = ()
    symbols: tuple[int, ...] = ()
    rows: int = 0
    weights_sha256: str = ""


def check_convertible(source: SourceModel, options: ConversionOptions) -> None:
    """Refuse what cannot be before anything is computed.

    Raises:
        UsageError: the model was converted before, or the rank is above the model's width.
    """
    if source.conversion is not None:
        raise UsageError(
            f"{source.name}: expected a model as it was trained, found a converted one; convert the original"
        )
    width = int(_layers(source.rnnt)[0].attention.input_dim)
    if options.cache_rank is not None and options.cache_rank > width:
        raise UsageError(
            f"expected a cache rank of at most {width}, the model's width, found {options.cache_rank:g}; "
            f"a third of the width, {width // 3}, is a good start"
        )
    if options.symbols is not None:
        read_symbols(options.symbols, source.pieces)


def convert(
    source: SourceModel,
    options: ConversionOptions,
    recordings: Sequence[Callable[[], Tensor]],
    progress: Progress[Any] = no_progress,
) -> tuple[SourceModel, ConversionRecord]:
    """The converted model; the original stays as it is.

    Args:
        source: a model as it was trained.
        options: what to convert.
        recordings: each gives the features of a recording's steps, see `feature_windows`.
        progress: wraps loops, of which it is told the number and what they do.

    Raises:
        UsageError: see `check_convertible`.
        AudioError: there is too little speech.
    """
    check_convertible(source, options)
    rnnt = _copy_without_weights(source.rnnt)
    record = ConversionRecord()
    latents: tuple[Latent, ...] = ()
    if options.needs_speech:
        steps = (windows() for windows in progress(recordings, len(recordings), "listening"))
        moments = speech_moments(source, steps, options.cache_rank is not None, options.ffn_neurons is not None)
        if options.cache_rank is not None:
            record, latents = _keep_directions(rnnt, moments.attended, options.cache_rank, record)
        if options.ffn_neurons is not None:
            record = _keep_neurons(rnnt, moments.hidden, options.ffn_neurons, record, progress)
    geometry, pieces = source.geometry, source.pieces
    if options.symbols is not None:
        kept = read_symbols(options.symbols, pieces)
        keep_symbols(rnnt, kept)
        record, pieces = replace(record, symbols=kept), kept_pieces(pieces, kept)
        geometry = replace(geometry, num_symbols=len(kept))
        _LOGGER.warning(
            "%s: %d of %d symbols are kept; words that need another can never be recognised, whatever is said",
            options.symbols,
            len(kept) - 1,
            source.geometry.num_symbols - 1,
        )
    record = replace(record, weights_sha256=_digest(rnnt, latents))
    converted = replace(source, rnnt=rnnt, geometry=geometry, pieces=pieces, latents=latents, conversion=asdict(record))
    return converted, record


def _keep_directions(
    rnnt: Any, moments: Sequence[Moments], rank: float, record: ConversionRecord
) -> tuple[ConversionRecord, tuple[Latent, ...]]:
    attentions = [layer.attention for layer in _layers(rnnt)]
    _require_rows(moments[0].count, int(attentions[0].input_dim), "ranks")
    found: list[Directions] = list(map(directions, attentions, moments))
    energies = [one.energies for one in found]
    ranks = ranks_of_share(energies, rank) if rank < 1 else spread_ranks(energies, int(rank))
    latents = tuple(map(latent_of, attentions, found, ranks))
    for attention, latent in zip(attentions, latents, strict=True):
        attention.emb_to_key_value = expanded(latent)
    lost = tuple(float(one[kept:].sum()) for one, kept in zip(energies, ranks, strict=True))
    return replace(record, ranks=ranks, lost_energy=lost, rows=moments[0].count), latents


def _keep_neurons(
    rnnt: Any, moments: Sequence[Moments], share: float, record: ConversionRecord, progress: Progress[Any]
) -> ConversionRecord:
    layers, errors = _layers(rnnt), []
    counts = [max(round(share * layer.pos_ff[4].in_features), 1) for layer in layers]
    _require_rows(moments[0].count, max(counts), "neurons")
    work = list(zip(layers, moments, counts, strict=True))
    for layer, seen, count in progress(work, len(layers), "choosing neurons"):
        first, second = layer.pos_ff[1], layer.pos_ff[4]
        chosen = select_neurons(second.weight, second.bias, seen, count)
        layer.pos_ff[1] = linear_of(first.weight[chosen.kept], first.bias[chosen.kept])
        layer.pos_ff[4] = linear_of(chosen.weight, chosen.bias)
        errors.append(chosen.error)
    return replace(record, neurons=tuple(counts), neuron_errors=tuple(errors), rows=moments[0].count)


def _require_rows(rows: int, unknown: int, what: str) -> None:
    """Refuse speech that cannot decide; warn of little.

    Raises:
        AudioError: fewer frames than numbers to find for each output.
    """
    if rows < unknown:
        raise AudioError(
            f"expected at least {unknown} frames of speech to find {what}, found {rows}; name more to calibrate on"
        )
    if rows < _FEW_ROWS * unknown:
        _LOGGER.warning(
            "%d frames of speech are little to find %s with %d unknowns; name some minutes of the domain's own speech, "
            "or other speech may lose words",
            rows,
            what,
            unknown,
        )


def _layers(rnnt: Any) -> list[Any]:
    return list(rnnt.transcriber.transformer.emformer_layers)


def _copy_without_weights(rnnt: Any) -> Any:
    """New modules over the same tensors: what is replaced in one leaves the other as it is."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*rnnt.parameters(), *rnnt.buffers())}
    return copy.deepcopy(rnnt, shared)


def _digest(rnnt: Any, latents: Sequence[Latent]) -> str:
    digest = hashlib.sha256()
    for layer in _layers(rnnt):
        for linear in (layer.attention.emb_to_key_value, layer.pos_ff[1], layer.pos_ff[4]):
            digest.update(linear.weight.numpy().tobytes())
    for tensor in (rnnt.joiner.linear.weight, *(latent.down for latent in latents)):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
