"""How far a converted model is from the original on real speech: encoder, tokens, words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emf.export.convert.conversion import Progress, no_progress
from emf.export.convert.rolling import encode, encoder_of
from emf.export.convert.speech import Speech, windows_of
from emf.export.convert.torch_model import TorchModel, decode
from emf.export.model import SourceModel
from emf.export.parity.word_drift import WordDrift
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.errors import AudioError, ToleranceError
from emf.runtime.search.options import DECODING_METHODS, SearchOptions
from emf.runtime.speech.error_rate import EditCounts, count_errors, normalize, word_errors
from emf.runtime.speech.utterances import Utterance

SEARCHES = tuple(method for method in DECODING_METHODS if method in ("greedy", "beam"))
BOUNDED_SEARCH = "beam"
"""Whose words `max_wer_increase` is about, the default of every recognizer."""


@dataclass(frozen=True)
class Drift:
    """The converted model beside the original, as it stands in the manifest.

    Attributes:
        utterances: decoded by both.
        held_out: whether they are others than those converted with: by `speakers`, `utterances`, or empty if not.
        encoder_snr_db: energy of the original's encodings over that of the difference; `None` if there is none.
        searches: by name.
    """

    utterances: int
    held_out: str
    encoder_snr_db: float | None
    searches: dict[str, WordDrift]


def measure_drift(
    original: SourceModel,
    converted: SourceModel,
    speech: Speech,
    cache: str = "float32",
    progress: Progress[Any] = no_progress,
) -> Drift:
    """Decode the same speech with both models in PyTorch.

    Args:
        original: the model as it was trained.
        converted: what was made of it.
        speech: `measured` of it is decoded.
        cache: format of the converted model's cache.
        progress: wraps loops.

    Raises:
        AudioError: the original hears nothing in it.
    """
    drift = compare_models(original, converted, speech, cache, progress)
    if not any(found.words for found in drift.searches.values()):
        raise AudioError(
            "expected speech that the model recognises, but it gave no word; name audio of its language and domain"
        )
    return drift


def compare_models(
    original: SourceModel,
    converted: SourceModel,
    speech: Speech,
    cache: str = "float32",
    progress: Progress[Any] = no_progress,
) -> Drift:
    """As `measure_drift`, even if nobody hears a word."""
    graphs = encoder_of(original), encoder_of(converted, cache)
    encodings: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    signal = noise = 0.0
    windows = windows_of(original, speech.measured)
    for steps in progress(windows, len(windows), "comparing encodings"):
        features = steps()
        first, second = (encode(graph, features) for graph in graphs)
        signal += float(first.double().square().sum())
        noise += float((first - second).double().square().sum())
        encodings[0].append(first.numpy())
        encodings[1].append(second.numpy())
    models, frames = (TorchModel(original), TorchModel(converted)), original.geometry.frames_per_step
    searches = {}
    for name in progress(SEARCHES, len(SEARCHES), "comparing words"):
        options = SearchOptions(decoding_method=name)
        tokens = [decode(model, found, frames, options) for model, found in zip(models, encodings, strict=True)]
        searches[name] = _word_drift(original, converted, speech.measured, tokens[0], tokens[1])
    snr = 10.0 * math.log10(signal / noise) if noise else None
    return Drift(len(windows), speech.held_out, snr, searches)


def require_words(drift: Drift, max_wer_increase: float) -> None:
    """Refuse a conversion that loses too many words.

    Raises:
        ToleranceError: the words of `BOUNDED_SEARCH` have more errors than allowed.
    """
    found = drift.searches[BOUNDED_SEARCH]
    if found.wer is None or found.wer_converted is None or found.wer_converted - found.wer <= max_wer_increase:
        return
    raise ToleranceError(
        f"the converted model's WER is {100 * found.wer_converted:.2f} % instead of {100 * found.wer:.2f} %, more than "
        f"the {100 * max_wer_increase:g} points allowed; keep more of the model, name more speech as --calibration, or "
        "raise --max-wer-increase"
    )


def _word_drift(
    original: SourceModel,
    converted: SourceModel,
    utterances: Sequence[Utterance],
    first: Sequence[list[int]],
    second: Sequence[list[int]],
) -> WordDrift:
    """Of the tokens that both models found in each utterance."""
    kept = (converted.conversion or {}).get("symbols") or range(converted.geometry.num_symbols)
    tokens_changed = sum(one != [kept[token] for token in other] for one, other in zip(first, second, strict=True))
    texts = list(zip(_texts(original, first), _texts(converted, second), strict=True))
    changes = EditCounts()
    for one, other in texts:
        changes += count_errors(normalize(one).split(), normalize(other).split())
    known = [(u.transcript, *pair) for u, pair in zip(utterances, texts, strict=True) if u.transcript]
    rates = [word_errors((row[0], row[index]) for row in known).rate if known else None for index in (1, 2)]
    return WordDrift(changes.reference_length, changes.total, tokens_changed, rates[0], rates[1])


def _texts(source: SourceModel, found: Sequence[list[int]]) -> list[str]:
    table = TokenTable(source.pieces.pieces, frozenset(source.pieces.hidden_ids))
    return [table.text(tokens) for tokens in found]
