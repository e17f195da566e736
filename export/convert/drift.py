"""How far a converted model is from the original on real speech: encoder, tokens, words."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emf.export.convert.conversion import Progress, no_progress
from emf.export.convert.rolling import encode, encoder_of
from emf.export.convert.speech import Speech, windows_of
from emf.export.convert.torch_model import TorchModel
from emf.export.model import SourceModel
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.errors import AudioError, ToleranceError
from emf.runtime.search.options import DECODING_METHODS, SearchOptions
from emf.runtime.search.run import advance
from emf.runtime.speech.error_rate import EditCounts, count_errors, normalize, word_errors

SEARCHES = tuple(method for method in DECODING_METHODS if method in ("greedy", "beam"))
BOUNDED_SEARCH = "beam"
"""Whose words `max_wer_increase` is about, the default of every recognizer."""


@dataclass(frozen=True)
class WordDrift:
    """What a search makes of the converted encoder, beside what it made of the original one.

    Attributes:
        words: that the original model heard.
        words_changed: edit operations from these to the converted model's.
        tokens_changed: utterances whose tokens differ.
        wer: of the original, where there are transcripts.
        wer_converted: of the converted model.
    """

    words: int
    words_changed: int
    tokens_changed: int
    wer: float | None
    wer_converted: float | None

    @property
    def wer_increase(self) -> float | None:
        """How much more WER; `None` without transcripts."""
        return None if self.wer is None or self.wer_converted is None else self.wer_converted - self.wer


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
    original: SourceModel, converted: SourceModel, speech: Speech, progress: Progress[Any] = no_progress
) -> Drift:
    """Decode the same speech with both models in PyTorch.

    Raises:
        AudioError: the original hears nothing in it.
    """
    sources = (original, converted)
    graphs, models = [encoder_of(source) for source in sources], [TorchModel(source) for source in sources]
    tokens: list[dict[str, list[tuple[int, ...]]]] = [{name: [] for name in SEARCHES} for _ in sources]
    signal = noise = 0.0
    windows = windows_of(original, speech.measured)
    for steps in progress(windows, len(windows), "comparing words"):
        features = steps()
        first, second = (encode(graph, features) for graph in graphs)
        signal += float(first.double().square().sum())
        noise += float((first - second).double().square().sum())
        for model, encoding, found in zip(models, (first, second), tokens, strict=True):
            for name in SEARCHES:
                found[name].append(_search(model, encoding.numpy(), original.geometry.frames_per_step, name))
    texts = [_texts(source, found) for source, found in zip(sources, tokens, strict=True)]
    if not any(map(any, texts[0].values())):
        raise AudioError(
            "expected speech that the model recognises, but it gave no word; name audio of its language and domain"
        )
    changed = {name: _tokens_changed(converted, *(found[name] for found in tokens)) for name in SEARCHES}
    references = [utterance.transcript for utterance in speech.measured]
    return Drift(
        len(windows),
        speech.held_out,
        10.0 * math.log10(signal / noise) if noise else None,
        {name: _word_drift(references, texts[0][name], texts[1][name], changed[name]) for name in SEARCHES},
    )


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


def _search(model: TorchModel, encoding: FloatArray, frames: int, method: str) -> tuple[int, ...]:
    options, state = SearchOptions(decoding_method=method), model.start()
    for chunk in np.split(encoding, range(frames, len(encoding), frames)) if len(encoding) else []:
        (state,) = advance(chunk[None], [state], model, options)
    return tuple(state.hypotheses[0].emissions.tokens)


def _texts(source: SourceModel, found: dict[str, list[tuple[int, ...]]]) -> dict[str, list[str]]:
    table = TokenTable(source.pieces.pieces, frozenset(source.pieces.hidden_ids))
    return {name: [table.text(tokens) for tokens in utterances] for name, utterances in found.items()}


def _tokens_changed(converted: SourceModel, first: Sequence[tuple[int, ...]], second: Sequence[tuple[int, ...]]) -> int:
    kept = (converted.conversion or {}).get("symbols") or range(converted.geometry.num_symbols)
    restore: Callable[[int], int] = kept.__getitem__
    return sum(one != tuple(map(restore, other)) for one, other in zip(first, second, strict=True))


def _word_drift(
    references: Sequence[str | None], original: Sequence[str], converted: Sequence[str], tokens_changed: int
) -> WordDrift:
    changes = EditCounts()
    for one, other in zip(original, converted, strict=True):
        changes += count_errors(normalize(one).split(), normalize(other).split())
    known = [(reference, *pair) for reference, *pair in zip(references, original, converted, strict=True) if reference]
    rates = [word_errors((row[0], row[index]) for row in known).rate if known else None for index in (1, 2)]
    return WordDrift(changes.reference_length, changes.total, tokens_changed, *rates)
