"""What a report says of an artifact whose model was changed: what was kept, and its words beside the original's.

All of it stands in the manifest, where `emf-export` wrote it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from emf.runtime.artifact.json_fields import MAX_NUMBER, JsonFields
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.inference.encoder_state import state_layout
from emf.runtime.pages.content import Table

CONVERSION = "conversion"
"""Where a manifest's provenance holds it."""
TRAINED_LENGTHS = "trained_lengths"
"""Where it holds the lengths that the model was trained with, if it was exported with others."""

_HELD_OUT = ("speakers", "utterances", "")


@dataclass(frozen=True, slots=True)
class Words:
    """What a search heard with both models.

    Attributes:
        words: of the original.
        changed: edit operations from these to the converted model's.
        wer: of the original; `None` without transcripts.
        wer_converted: of the converted model, likewise.
    """

    words: int
    changed: int
    wer: float | None
    wer_converted: float | None


@dataclass(frozen=True, slots=True)
class Conversion:
    """The record of a conversion, as far as a report shows it.

    Attributes:
        ranks: of each layer's latent; empty if keys and values stayed.
        neurons: kept of each layer's feed-forward network; empty if all stayed.
        symbols: ids in the original's vocabulary of those kept; empty if all stayed.
        seconds: of the speech that decided.
        utterances: that both models decoded.
        held_out: how these differ from the speech that decided: by speakers, by utterances, or empty if not.
        encoder_snr_db: energy of the original's encodings over that of the difference; `None` if there is none.
        searches: by name.
    """

    ranks: tuple[int, ...]
    neurons: tuple[int, ...]
    symbols: tuple[int, ...]
    seconds: float
    utterances: int
    held_out: str
    encoder_snr_db: float | None
    searches: Mapping[str, Words]


def read_conversion(provenance: Mapping[str, Any]) -> Conversion | None:
    """The conversion that a manifest's provenance records; `None` for a model as it was trained.

    Raises:
        ArtifactError: a field is missing, or is not what `emf-export` writes.
    """
    if CONVERSION not in provenance:
        return None
    record = JsonFields(provenance[CONVERSION], f"manifest.json: provenance: {CONVERSION}")
    drift = record.fields("against_original")
    searches = drift.fields("searches")
    return Conversion(
        ranks=record.integers("ranks"),
        neurons=record.integers("neurons"),
        symbols=record.integers("symbols"),
        seconds=record.number("seconds", 0.0, MAX_NUMBER),
        utterances=drift.integer("utterances"),
        held_out=drift.choice("held_out", _HELD_OUT),
        encoder_snr_db=_number_or_none(drift, "encoder_snr_db", -MAX_NUMBER),
        searches={name: _words(searches.fields(name)) for name in searches.values},
    )


def _words(fields: JsonFields) -> Words:
    return Words(
        words=fields.integer("words"),
        changed=fields.integer("words_changed"),
        wer=_number_or_none(fields, "wer", 0.0),
        wer_converted=_number_or_none(fields, "wer_converted", 0.0),
    )


def _number_or_none(fields: JsonFields, name: str, low: float) -> float | None:
    return None if fields.is_null(name) else fields.number(name, low, MAX_NUMBER)


def model_words(manifest: Manifest) -> str:
    """What was changed of a model before and at its export, to follow "the model"; `as it was trained` if nothing."""
    conversion = read_conversion(manifest.provenance)
    changes = [] if conversion is None else list(_kept(conversion))
    if TRAINED_LENGTHS in manifest.provenance:
        changes.append(_lengths(manifest))
    encoder = next(graph for graph in manifest.graphs if graph.name == "encoder")
    cache = {str(state.tensor.dtype) for state in state_layout(encoder) if state.entries_per_step} - {"float32"}
    changes += [words for kind, words in (("int8", "an int8 cache"), ("float16", "a float16 cache")) if kind in cache]
    if not changes:
        return "as it was trained"
    *others, last = changes
    return f"with {', '.join(others)} and {last}" if others else f"with {last}"


def _kept(conversion: Conversion) -> Iterator[str]:
    if conversion.ranks:
        yield f"latents of {_each(conversion.ranks, 'numbers')} instead of keys and values"
    if conversion.neurons:
        yield _each(conversion.neurons, "neurons")
    if conversion.symbols:
        yield f"{len(conversion.symbols)} symbols"


def _lengths(manifest: Manifest) -> str:
    sizes = manifest.geometry
    frames = (sizes.segment_length, sizes.left_context_length * sizes.subsampling_factor, sizes.right_context_length)
    own, left, right = (1000 * manifest.frontend.samples(n) // manifest.frontend.sample_rate for n in frames)
    return f"segments of {own} ms between {left} ms of left and {right} ms of right context"


def _each(counts: Sequence[int], what: str) -> str:
    return f"{fmean(counts):.0f} {what} a layer" + ("" if len(set(counts)) == 1 else " in the mean")


def conversion_table(conversion: Conversion) -> Table:
    """What the conversion kept."""
    rows = [
        ("ranks of the latents instead of keys and values", _spread(conversion.ranks)),
        ("neurons of the feed-forward networks", _spread(conversion.neurons)),
        ("symbols", str(len(conversion.symbols) or "")),
    ]
    return ("kept", "by layer"), [row for row in rows if row[1]]


def conversion_words_table(conversion: Conversion) -> Table:
    """The converted model's words beside the original's, as the export found them in PyTorch."""
    header = ("search", "words changed", "of", "WER % of the original", "converted")
    return header, [_words_row(name, words) for name, words in conversion.searches.items()]


def conversion_line(conversion: Conversion) -> str:
    """What the words were measured on, in a sentence."""
    held_out, snr = conversion.held_out, conversion.encoder_snr_db
    where = f"held-out {held_out}" if held_out else "the speech that decided what is kept"
    distance = "" if snr is None else f"; encodings {snr:.1f} dB above the difference"
    return (
        f"Converted on {conversion.seconds / 60:.1f} minutes of speech; compared with the original on "
        f"{conversion.utterances} utterances, {where}{distance}."
    )


def _spread(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts)) if len(set(counts)) != 1 else f"{counts[0]} each"


def _words_row(name: str, words: Words) -> list[str]:
    rates = ("" if rate is None else f"{100 * rate:.2f}" for rate in (words.wer, words.wer_converted))
    return [name, str(words.changed), str(words.words), *rates]
