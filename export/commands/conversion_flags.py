"""The flags of `emf-export` that make a smaller model, and what they do."""

import argparse
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from emf.export.convert.conversion import ConversionOptions, ConversionRecord, check_convertible, convert
from emf.export.convert.drift import BOUNDED_SEARCH, Drift, measure_drift, require_words
from emf.export.convert.speech import Speech, read_speech, windows_of
from emf.export.model import SourceModel
from emf.runtime.commands.command_line import CommandParser, bounded
from emf.runtime.commands.progress import progress
from emf.runtime.errors import UsageError

_LOGGER = logging.getLogger(__name__)
_MAX_WER_INCREASE = 0.005
_SECONDS = 1200.0


def add_conversion_flags(parser: CommandParser) -> None:
    """A group of their own."""
    group = parser.add_argument_group("a smaller model, by what speech shows of it, without training")
    group.add_argument(
        "--cache-rank",
        type=_rank,
        metavar="R|ENERGY",
        help="Keep latents of a low rank instead of keys and values: of this mean rank, spread over the layers, or, "
        "below 1, of the ranks that keep this share of each layer's energy.",
    )
    group.add_argument(
        "--ffn-neurons", type=float, metavar="SHARE", help="Keep this share of the feed-forward networks' neurons."
    )
    group.add_argument(
        "--symbols",
        type=Path,
        help="Keep only the symbols of this file, a piece or an id a line, and the blank: for a closed vocabulary. "
        "Words that need others are lost.",
    )
    group.add_argument(
        "--calibration",
        type=Path,
        help="Let this manifest.tsv or folder of speech decide what is kept; a fifth of it is measured on instead. "
        "Default: the demo's recordings.",
    )
    group.add_argument(
        "--calibration-seconds",
        type=bounded(float, 1, 1e6),
        help=f"Use at most this much of it. Default: {_SECONDS:g}.",
    )
    group.add_argument(
        "--max-wer-increase",
        type=bounded(float, -1, 1),
        help="Refuse a smaller model with this much more WER than the original has, where there are transcripts; 0.005 "
        f"is 0.5 points. Default: {_MAX_WER_INCREASE}.",
    )


def _rank(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (0 < value < 1 or (text.isdigit() and value >= 1)):
        raise argparse.ArgumentTypeError(
            f"expected a rank of 1 or more as a whole number, or a share of energy between 0 and 1, found {text!r}"
        )
    return value


def conversion_of(options: argparse.Namespace) -> ConversionOptions | None:
    """What the flags ask for; `None` is the model as it is.

    Raises:
        UsageError: flags that make no sense, alone or together.
    """
    conversion = ConversionOptions(options.cache_rank, options.ffn_neurons, options.symbols)
    if not conversion.is_empty:
        return conversion
    for name in ("calibration", "calibration_seconds", "max_wer_increase"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} belongs to --cache-rank, --ffn-neurons and --symbols, found none of them; "
                "leave it out"
            )
    return None


def convert_as_told(source: SourceModel, conversion: ConversionOptions, options: argparse.Namespace) -> SourceModel:
    """The smaller model, compared with the original on speech.

    Raises:
        UsageError, AudioError: see `convert`.
        ToleranceError: it loses more words than allowed.
    """

    def shown(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:
        return progress(items, total, what)

    check_convertible(source, conversion)
    seconds = _SECONDS if options.calibration_seconds is None else options.calibration_seconds
    speech = read_speech(options.calibration, source.frontend.sample_rate, seconds)
    converted, record = convert(source, conversion, windows_of(source, speech.calibration), shown)
    drift = measure_drift(source, converted, speech, options.cache, shown)
    if all(found.wer is None for found in drift.searches.values()):
        _LOGGER.warning("the speech given has no transcripts: words are compared with the original's, and not bounded")
    require_words(drift, _MAX_WER_INCREASE if options.max_wer_increase is None else options.max_wer_increase)
    return replace(converted, conversion=_document(conversion, record, speech, drift))


def _document(
    conversion: ConversionOptions, record: ConversionRecord, speech: Speech, drift: Drift
) -> dict[str, object]:
    return {
        "cache_rank": conversion.cache_rank,
        "ffn_neurons": conversion.ffn_neurons,
        **asdict(record),
        "seconds": round(speech.seconds, 3),
        "utterances": len(speech.calibration),
        "against_original": asdict(drift),
    }


def describe_conversion(document: Mapping[str, Any]) -> list[str]:
    """Lines for a person."""
    lines = []
    if document["ranks"]:
        ranks = document["ranks"]
        lost = max(document["lost_energy"])
        lines.append(
            f"latents instead of keys and values: ranks {', '.join(map(str, ranks))}, {sum(ranks) / len(ranks):.1f} on "
            f"average; at most {100 * lost:.2g} % of a layer's energy lost"
        )
    if document["neurons"]:
        lines.append(
            f"neurons kept: {document['neurons'][0]} a layer; at most {100 * max(document['neuron_errors']):.2g} % of "
            "the variation of a layer's output lost"
        )
    if document["symbols"]:
        lines.append(f"symbols kept: {len(document['symbols']) - 1} and the blank")
    drift = document["against_original"]
    where = f"held-out {drift['held_out']}" if drift["held_out"] else "the very speech that decided what is kept"
    snr = "equal" if drift["encoder_snr_db"] is None else f"{drift['encoder_snr_db']:.1f} dB above the difference"
    lines.append(f"against the original on {drift['utterances']} utterances ({where}): encoder {snr}")
    for name, found in drift["searches"].items():
        bound = ", which is bounded" if name == BOUNDED_SEARCH else ""
        rates = "" if found["wer"] is None else f"; WER {found['wer']:.2%} -> {found['wer_converted']:.2%}{bound}"
        lines.append(f"  {name}: {found['words_changed']} of {found['words']} words changed{rates}")
    return lines
