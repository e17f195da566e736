"""Training batches: utterances perturbed and strung together into streams of a few seconds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from demo_augment import SAMPLE_RATE, Samples, change_channel, change_speed, limit_band, noise
from demo_corpus import Split, Utterance
from demo_labels import Span
from torch import Tensor

_PAUSES = (0.2, 0.2, 0.6)
"""Mean seconds between utterances: words after a long silence are easily missed."""
_LONGEST_GAP = 9600
"""Samples between single words."""
_STREAM_SECONDS = (2.5, 4.0, 4.0, 6.0, 8.0)
_SHARES = {
    "an4": 0.26,
    "voices": 0.08,
    "voice_words": 0.14,
    "cut_words": 0.17,
    "digits": 0.21,
    "commands": 0.12,
    "silence": 0.02,
}
_SINGLE_WORDS = ("voice_words", "cut_words", "digits", "commands")
_STRENGTH_OF_WORDS = 1.7
"""Single words are perturbed so much more strongly than sentences: many are of three speakers."""
_TRIMMED_SECONDS = 0.05
"""Most that is cut off either end of a single word, as recordings trimmed by level are."""
_NARROW_SHARE = 0.2
_NARROW_SHARE_OF_WORDS = 0.5
"""Utterances, and single words, limited to the band of 8 kHz recordings, which the digits' are."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Streams of speech and what is said in them.

    Attributes:
        waveforms: `(batch, samples)` in [-1, 1], zeros after the end of a stream.
        samples: length of each stream.
        transcripts: words of each stream.
        spans: where they lie, for streams of speech; empty for books.
    """

    waveforms: Tensor
    samples: list[int]
    transcripts: list[str]
    spans: list[list[Span]]


def _floats(samples: npt.NDArray[np.int16]) -> Samples:
    return samples.astype(np.float32) / 32768.0


def _draw(pool: list[Utterance], rng: np.random.Generator) -> Utterance:
    return pool[int(rng.integers(len(pool)))]


class BatchSource:
    """Draws batches; equal (seed, step) give equal batches, so that training can be resumed anywhere.

    Args:
        corpora: from `load_corpora`.
        seed: seed of all randomness.
        seconds: audio in one batch; batches of 16 s learn more in a minute than batches of 32 s.
    """

    def __init__(self, corpora: dict[str, Split], seed: int, seconds: float = 16.0) -> None:
        """Sort the training parts by speaker and by length."""
        self._seconds = seconds
        self._pools = {name: split.train for name, split in corpora.items()}
        self._seed = seed
        self._by_speaker: dict[str, dict[str, list[Utterance]]] = {"digits": {}, "commands": {}, "cut_words": {}}
        for name, speakers in self._by_speaker.items():
            for utterance in self._pools[name]:
                speakers.setdefault(utterance.speaker, []).append(utterance)
        self._books = sorted(self._pools["books"], key=lambda utterance: utterance.samples.size)

    def random(self, step: int) -> np.random.Generator:
        """The source of randomness of a step."""
        return np.random.default_rng((self._seed, step))

    def speech(self, rng: np.random.Generator, strength: float) -> Batch:
        """Streams of AN4, synthesised voices, digits and commands.

        Args:
            rng: source of randomness.
            strength: of the perturbations, from 0 (none) to 1.
        """
        seconds = float(rng.choice(_STREAM_SECONDS))
        count = max(1, round(self._seconds / seconds))
        streams = [self._stream(int(seconds * SAMPLE_RATE), rng, strength) for _ in range(count)]
        waveforms, spans = zip(*streams, strict=True)
        return Batch(
            torch.from_numpy(np.stack(waveforms)),
            [waveforms[0].size] * len(streams),
            [" ".join(span.text for span in stream) for stream in spans],
            list(spans),
        )

    def books(self, rng: np.random.Generator) -> Batch:
        """Read books: whole utterances of about the same length."""
        anchor = int(rng.integers(len(self._books)))
        count = max(3, int(self._seconds * SAMPLE_RATE / self._books[anchor].samples.size))
        first = min(anchor, len(self._books) - count)
        utterances = self._books[first : first + count]
        perturbed = [
            _level(_perturb(_floats(item.samples), rng, 1.0, _NARROW_SHARE)[0], rng, 1.0) for item in utterances
        ]
        waveforms = np.zeros((count, max(item.size for item in perturbed)), dtype=np.float32)
        for row, item in zip(waveforms, perturbed, strict=True):
            row[: item.size] = item
        transcripts = [utterance.transcript for utterance in utterances]
        return Batch(torch.from_numpy(waveforms), [item.size for item in perturbed], transcripts, [])

    def _stream(self, length: int, rng: np.random.Generator, strength: float) -> tuple[Samples, list[Span]]:
        """Fill `length` samples with utterances; a third of the streams end where the last word ends."""
        shares = {name: share for name, share in _SHARES.items() if self._pools.get(name, True)}
        names, weights = list(shares), np.array(list(shares.values())) / sum(shares.values())
        pieces: list[Samples] = []
        spans: list[Span] = []
        used = misfits = 0
        while length - used > 0.3 * SAMPLE_RATE and misfits < 6:
            name = str(rng.choice(names, p=weights))
            if name == "silence":
                break
            samples, words = self._item(name, rng, strength)
            gap = int(rng.exponential(rng.choice(_PAUSES)) * SAMPLE_RATE) if rng.random() < 0.8 else 0
            if used + gap + samples.size > length:
                misfits += 1
                continue
            pieces += [np.zeros(gap, np.float32), samples * np.float32(10 ** (rng.uniform(-6, 6) / 20))]
            spans += [word.moved(used + gap) for word in words]
            used += gap + samples.size
        room = length - used
        before = room if rng.random() < 0.35 else int(rng.integers(room + 1))
        stream = np.concatenate((np.zeros(before, np.float32), *pieces, np.zeros(room - before, np.float32)))
        return _level(stream, rng, strength), [span.moved(before) for span in spans]

    def _item(self, name: str, rng: np.random.Generator, strength: float) -> tuple[Samples, list[Span]]:
        """One utterance, or one to five digits, one to three commands of one speaker, perturbed; or voices' words."""
        first = _draw(self._pools[name], rng)
        utterances = [first]
        if name in _SINGLE_WORDS:
            longest = 3 if name == "commands" else 5
            others = self._by_speaker[name][first.speaker] if name in self._by_speaker else self._pools[name]
            utterances += [_draw(others, rng) for _ in range(int(rng.integers(longest)))]
        parts: list[Samples] = []
        spans: list[Span] = []
        used = 0
        for utterance in utterances:
            if parts:
                parts.append(np.zeros(int(rng.integers(_LONGEST_GAP)), np.float32))
                used += parts[-1].size
            samples = _floats(utterance.samples)
            parts.append(_trimmed(samples, rng, strength) if name in _SINGLE_WORDS else samples)
            spans += [span.moved(used) for span in _spans(utterance)]
            used += parts[-1].size
        narrow, amount = _NARROW_SHARE, strength
        if name in _SINGLE_WORDS:
            narrow, amount = _NARROW_SHARE_OF_WORDS, min(1.0, _STRENGTH_OF_WORDS * strength)
        samples, speed = _perturb(np.concatenate(parts), rng, amount, narrow)
        return samples, [span.moved(0, speed) for span in spans]


def _trimmed(samples: Samples, rng: np.random.Generator, strength: float) -> Samples:
    """Some single words without a little of their beginning and end."""
    if rng.random() > strength:
        return samples
    begin, end = (rng.uniform(0.0, _TRIMMED_SECONDS, 2) * SAMPLE_RATE).astype(int)
    return samples[begin : samples.size - end] if samples.size > 4 * (begin + end) else samples


def _perturb(samples: Samples, rng: np.random.Generator, strength: float, narrow: float) -> tuple[Samples, float]:
    """Telephone rate for the share `narrow`; another speed and channel by strength; also tells the speed."""
    speed = rng.uniform(0.8, 1.25) if rng.random() < 0.8 * strength else 1.0
    changed = change_speed(samples, speed)
    if rng.random() < narrow:
        changed = limit_band(changed, rng)
    return (change_channel(changed, rng) if rng.random() < 0.7 * strength else changed), speed


def _spans(utterance: Utterance) -> list[Span]:
    """The words of an utterance where they are aligned, or else one span over all of it."""
    if not utterance.spans:
        return [Span(utterance.transcript, 0, utterance.samples.size, aligned=False)]
    words = utterance.transcript.split()
    return [Span(word, start, end, aligned=True) for word, (start, end) in zip(words, utterance.spans, strict=True)]


def _level(samples: Samples, rng: np.random.Generator, strength: float) -> Samples:
    """Scale to a random level of -26 dB +- 14 dB (RMS of full scale), most often with noise 5 to 45 dB below."""
    power = float(np.sqrt(np.square(samples).mean()))
    level = 10 ** ((-26 + strength * rng.uniform(-14, 14)) / 20)
    scaled = samples * (level / power) if power > 0 else samples
    if rng.random() < 0.5 * strength:
        scaled = scaled + noise(rng, samples.size) * (level * 10 ** (-rng.uniform(5, 45) / 20))
    return np.clip(scaled, -1.0, 1.0).astype(np.float32)
