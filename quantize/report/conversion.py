"""What a report says of an artifact whose model was made smaller: what was kept, and its words beside the original's.

All of it stands in the manifest, where `emf-export` wrote it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from emf.runtime.pages.content import Table

CONVERSION = "conversion"
"""Where a manifest's provenance holds it."""


def conversion_table(provenance: Mapping[str, Any]) -> Table | None:
    """What the conversion kept; `None` for a model as it was trained."""
    found = provenance.get(CONVERSION)
    if not isinstance(found, Mapping):
        return None
    rows = [
        ("ranks of the latents instead of keys and values", _spread(found.get("ranks", ()))),
        ("neurons of the feed-forward networks", _spread(found.get("neurons", ()))),
        ("symbols", str(len(found.get("symbols", ())) or "")),
    ]
    return ("kept", "by layer"), [row for row in rows if row[1]]


def conversion_words_table(provenance: Mapping[str, Any]) -> Table:
    """The converted model's words beside the original's, as the export found them in PyTorch."""
    drift = provenance[CONVERSION].get("against_original", {})
    header = ("search", "words changed", "of", "WER % of the original", "converted")
    return header, [_words_row(name, words) for name, words in drift.get("searches", {}).items()]


def conversion_line(provenance: Mapping[str, Any]) -> str:
    """What the words were measured on, in a sentence."""
    found = provenance[CONVERSION]
    drift = found.get("against_original", {})
    held_out = drift.get("held_out")
    where = f"held-out {held_out}" if held_out else "the speech that decided what is kept"
    snr = drift.get("encoder_snr_db")
    distance = "" if snr is None else f"; encodings {snr:.1f} dB above the difference"
    return (
        f"Converted on {found.get('seconds', 0.0) / 60:.1f} minutes of speech; compared with the original on "
        f"{drift.get('utterances', 0)} utterances, {where}{distance}."
    )


def _spread(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts)) if len(set(counts)) != 1 else f"{counts[0]} each"


def _words_row(name: str, words: Mapping[str, Any]) -> list[str]:
    rates = [words.get("wer"), words.get("wer_converted")]
    return [
        name,
        str(words.get("words_changed", "")),
        str(words.get("words", "")),
        *("" if rate is None else f"{100 * rate:.2f}" for rate in rates),
    ]
