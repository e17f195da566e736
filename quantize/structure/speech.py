"""The speech that every what-if is measured on, and what a changed encoder says of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import jiwer
import numpy as np

from emf.quantize.accuracy import ErrorCounts, paired_bootstrap, word_counts
from emf.quantize.corpus import load_samples, require_speech
from emf.quantize.structure.encoder import Encoder
from emf.quantize.structure.rows import Words
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Geometry
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.audio.features import feature_extractor
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.errors import AudioError, ToleranceError
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.search.batched.advance import advance
from emf.runtime.search.methods import end_words
from emf.runtime.search.model import Model
from emf.runtime.speech.error_rate import normalize
from emf.runtime.speech.utterances import Utterance

LEAST_SECONDS = 10.0
_STREAMS = 32
"""Utterances searched at once."""
_CHECKED_STEPS = 40
_TOLERANCE = 1e-3
REFERENCE = Variant("onnxruntime", FLOAT)
"""The variant whose weights, predictor and joiner are used."""

Tokens = tuple[tuple[int, ...], ...]
Encodings = list[FloatArray]


@dataclass(frozen=True, slots=True)
class Said:
    """What the model as it is says: the base of every comparison."""

    tokens: Tokens
    texts: tuple[str, ...]
    counts: ErrorCounts


class Speech:
    """Utterances, and a recognizer whose predictor and joiner search them.

    Attributes:
        recognizer: of the artifact's float variant.
        seconds: of audio.
        references: transcripts.
        halves: indices of the utterances in two parts without a common speaker, where there are two.
    """

    def __init__(
        self, recognizer: Recognizer, decoding: Decoding, utterances: Sequence[Utterance], limit: float
    ) -> None:
        """Read utterances, evenly from all of them, up to `limit` seconds.

        Raises:
            AudioError: silence, or too little to halve.
        """
        self.recognizer = recognizer
        self._mode = decoding.options.frontend or recognizer.transducer.manifest.frontend.default
        chosen, samples = _choose(utterances, recognizer.sample_rate, limit)
        where = str(utterances[0].path.parent)
        self.seconds = sum(map(len, samples)) / recognizer.sample_rate
        if len(chosen) < 2 or self.seconds < LEAST_SECONDS:
            raise AudioError(
                f"{where}: expected at least two utterances and {LEAST_SECONDS:g} s of speech for --what-if, found "
                f"{len(chosen)} and {self.seconds:.1f} s; name more"
            )
        require_speech(max(float(np.max(np.abs(s), initial=0.0)) for s in samples), where)
        tail = np.zeros(round(recognizer.settings.tail_padding * recognizer.sample_rate), np.float32)
        self._samples = [np.concatenate([s, tail]) for s in samples]
        self.references = [utterance.transcript or "" for utterance in chosen]
        self.halves = _halves([utterance.speaker for utterance in chosen])
        self._windows: list[FloatArray] = []

    @property
    def geometry(self) -> Geometry:
        """The artifact's own."""
        return self.recognizer.transducer.manifest.geometry

    def windows(self, geometry: Geometry) -> list[FloatArray]:
        """Windows of features of every utterance, (steps, segment + right context, n_mels)."""
        manifest = self.recognizer.transducer.manifest
        if geometry == manifest.geometry and self._windows:
            return self._windows
        extractor = feature_extractor(self._mode, manifest.frontend, geometry)
        found = []
        for samples in self._samples:
            buffer = SampleBuffer(samples, finished=True)
            steps: list[FloatArray] = []
            while extractor.is_ready(buffer, len(steps)):
                steps.append(extractor.extract(buffer, len(steps)))
            found.append(np.stack(steps))
        if geometry == manifest.geometry:
            self._windows = found
        return found

    def encode(self, encoder: Encoder, indices: Sequence[int] | None = None) -> Encodings:
        """Encodings of utterances, (steps, frames, encoding_dim) each; `None` is all of them."""
        windows = self.windows(encoder.geometry)
        return [encoder.encode(windows[i]) for i in (range(len(windows)) if indices is None else indices)]

    def check(self, encoder: Encoder) -> float:
        """Greatest difference between the artifact's graph and an encoder over the first steps.

        Raises:
            ToleranceError: they compute something else.
        """
        transducer = self.recognizer.transducer
        windows = max(self.windows(encoder.geometry), key=len)[:_CHECKED_STEPS]
        state = transducer.initial_encoder_state()
        expected = np.concatenate([transducer.encode(window[None], [state]) for window in windows])
        error = float(np.max(np.abs(encoder.encode(windows) - expected)))
        if not error <= _TOLERANCE:
            raise ToleranceError(
                f"{transducer.manifest.root}: expected a float encoder that computes what its weights say, found "
                f"encodings that differ by {error:.1e}; --what-if takes artifacts that were not converted"
            )
        return error

    def search(self, encodings: Encodings, model: Model | None = None) -> Tokens:
        """Tokens of every utterance; `model` in place of the artifact's predictor and joiner."""
        order = sorted(range(len(encodings)), key=lambda index: -len(encodings[index]))
        tokens: dict[int, tuple[int, ...]] = {}
        for begin in range(0, len(order), _STREAMS):
            group = order[begin : begin + _STREAMS]
            states = [self.recognizer.create_stream().state.search for _ in group]
            for step in range(len(encodings[group[0]])):
                active = [row for row, index in enumerate(group) if step < len(encodings[index])]
                frames = np.stack([encodings[group[row]][step] for row in active])
                given = [states[row] for row in active]
                found = advance(frames, given, model or self.recognizer.transducer, self.recognizer.options)
                for row, state in zip(active, found, strict=True):
                    states[row] = state
            for index, state in zip(group, states, strict=True):
                tokens[index] = end_words(state, self.recognizer.options).best.tokens
        return tuple(tokens[index] for index in range(len(encodings)))

    def said(self, tokens: Tokens) -> Said:
        """Tokens as texts, with their errors."""
        texts = tuple(self.recognizer.tokens.text(ids) for ids in tokens)
        return Said(tokens, texts, word_counts(self.references, texts))


def words(base: Said, other: Said) -> Words:
    """What a changed model says beside the model as it is."""
    return Words(
        wer=other.counts.rate,
        edits=other.counts.totals(),
        wer_delta=other.counts.rate - base.counts.rate,
        wer_delta_ci95=paired_bootstrap(base.counts, other.counts),
        changed_words=changed_words(base.texts, other.texts),
    )


def changed_words(expected: Sequence[str], found: Sequence[str]) -> int:
    """Words to substitute, delete and insert between two sets of texts; a text may be empty."""
    pairs = [(normalize(e), normalize(f)) for e, f in zip(expected, found, strict=True)]
    spoken = [(e, f) for e, f in pairs if e]
    surplus = sum(len(f.split()) for e, f in pairs if not e)
    if not spoken:
        return surplus
    output = jiwer.process_words([e for e, _ in spoken], [f for _, f in spoken])
    return int(output.substitutions + output.deletions + output.insertions + surplus)


def in_halves(speech: Speech, encode: Callable[[Sequence[int], Sequence[int]], Encodings]) -> Encodings:
    """Encodings of all utterances, each half by what was fitted on the other.

    Args:
        speech: with its halves.
        encode: given the utterances to fit on and those to encode.
    """
    found: dict[int, FloatArray] = {}
    for fit, held_out in (speech.halves, speech.halves[::-1]):
        found |= dict(zip(held_out, encode(fit, held_out), strict=True))
    return [found[index] for index in range(len(found))]


def with_lengths(geometry: Geometry, segment: int, right: int, left: int) -> Geometry:
    """The geometry with other lengths: segment and right context in feature frames, left in encoder frames."""
    return replace(geometry, segment_length=segment, right_context_length=right, left_context_length=left)


def _choose(utterances: Sequence[Utterance], rate: int, limit: float) -> tuple[list[Utterance], list[FloatArray]]:
    """Utterances in an order that takes them evenly from the whole, as many as fit; and their samples."""
    count = len(utterances)
    stride = max(count // 64, 1)
    order = [index for first in range(stride) for index in range(first, count, stride)]
    chosen: list[Utterance] = []
    samples: list[FloatArray] = []
    for index in order:
        if samples and sum(map(len, samples)) >= limit * rate:
            break
        chosen.append(utterances[index])
        samples.append(load_samples(utterances[index], rate))
    return chosen, samples


def _halves(speakers: Sequence[str]) -> tuple[list[int], list[int]]:
    """Indices in two parts, by speaker where there are several, else every other utterance."""
    names = list(dict.fromkeys(speakers))
    if len(names) < 2:
        return list(range(0, len(speakers), 2)), list(range(1, len(speakers), 2))
    first: set[str] = set()
    counts = {name: speakers.count(name) for name in names}
    for name in sorted(names, key=lambda name: -counts[name]):
        if 2 * sum(counts[n] for n in (*first, name)) <= len(speakers) or not first:
            first.add(name)
    if len(first) == len(names):
        first.discard(names[-1])
    indices = range(len(speakers))
    return [i for i in indices if speakers[i] in first], [i for i in indices if speakers[i] not in first]
