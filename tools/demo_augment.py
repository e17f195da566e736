"""Perturbations that turn few voices and rooms into many."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Samples = npt.NDArray[np.float32]
SAMPLE_RATE = 16000


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play faster (`factor` > 1) or slower: tempo, pitch and formants move together."""
    positions = np.arange(0, samples.size - 1, factor)
    return np.asarray(np.interp(positions, np.arange(samples.size), samples), dtype=np.float32)


def _room(rng: np.random.Generator, length: int) -> Samples:
    """Impulse response of a room: the direct sound and an exponentially decaying noise tail of 0.1 to 0.5 s (RT60)."""
    decay = 6.9 / (rng.uniform(0.1, 0.5) * SAMPLE_RATE)
    tail = rng.standard_normal(length) * np.exp(-decay * np.arange(length))
    response = tail * (rng.uniform(0.1, 0.7) / np.sqrt(np.square(tail).sum()))
    response[0] = 1.0
    return np.asarray(response, dtype=np.float32)


def limit_band(samples: Samples, rng: np.random.Generator) -> Samples:
    """Leave nothing above 3.4 to 4 kHz, as in recordings at telephone rate."""
    size = -(-samples.size // 2000) * 2000
    spectrum = np.fft.rfft(samples, size)
    spectrum[np.fft.rfftfreq(size, 1 / SAMPLE_RATE) > rng.uniform(3400.0, 4000.0)] = 0.0
    return np.asarray(np.fft.irfft(spectrum, size)[: samples.size], dtype=np.float32)


def change_channel(samples: Samples, rng: np.random.Generator, *, room: float = 0.25) -> Samples:
    """Filter as another microphone, line and room would: spectral tilt, slow ripple, reverberation.

    Args:
        samples: one utterance.
        rng: source of randomness.
        room: probability of reverberation, whose tail is cut where the utterance ends.
    """
    tail = 4000
    size = -(-(samples.size + tail) // 2000) * 2000  # a length of small prime factors, quick to transform
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    octaves = np.log2(np.maximum(frequencies, 60.0) / 1000.0)
    decibels = rng.uniform(-6.0, 6.0) * octaves
    decibels += rng.uniform(0.0, 6.0) * np.sin(octaves * rng.uniform(0.5, 3.0) + rng.uniform(0.0, 2 * np.pi))
    response = 10 ** (decibels / 20)
    if rng.random() < 0.3:
        response = response * (frequencies > rng.uniform(50.0, 300.0))
    if rng.random() < room:
        response = response * np.fft.rfft(_room(rng, tail), size)
    filtered = np.fft.irfft(np.fft.rfft(samples, size) * response, size)[: samples.size]
    return np.asarray(filtered, dtype=np.float32)


def noise(rng: np.random.Generator, length: int) -> Samples:
    """Stationary noise of unit power with a random spectral slope, between white and brown."""
    white = np.fft.rfft(rng.standard_normal(length))
    slope = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 50.0) ** -rng.uniform(0.0, 1.0)
    coloured = np.fft.irfft(white * slope, length)
    return np.asarray(coloured / np.sqrt(np.square(coloured).mean()), dtype=np.float32)


def warp_vocal_tract(features: Tensor, factors: Tensor) -> Tensor:
    """Shift the formants: stretch the mel axis by another factor for each sequence.

    Args:
        features: log-mel features, `(batch, frames, mels)`.
        factors: `(batch,)`, 1 leaves a sequence as it is.
    """
    mels = features.shape[2]
    positions = (torch.arange(mels) * factors.unsqueeze(1)).clamp(max=mels - 1.001)
    below = positions.floor().long()
    share = (positions - below).unsqueeze(1)
    index = below.unsqueeze(1).expand(-1, features.shape[1], -1)
    return features.gather(2, index) * (1 - share) + features.gather(2, index + 1) * share


def mask_features(
    features: Tensor, rng: np.random.Generator, *, bands: int = 2, width: int = 12, gaps: int = 3
) -> Tensor:
    """SpecAugment: set a few mel bands and short gaps of each sequence to the mean (zero).

    Args:
        features: normalised features, `(batch, frames, mels)`.
        rng: source of randomness.
        bands: number of masked bands.
        width: most mel channels a band covers.
        gaps: number of masked gaps of at most 10 frames in each 6 s.
    """
    masked = features.clone()
    frames, mels = features.shape[1:]
    for sequence in masked:
        for _ in range(bands):
            start, size = int(rng.integers(mels - width)), int(rng.integers(width + 1))
            sequence[:, start : start + size] = 0.0
        for _ in range(max(1, gaps * frames // 600)):
            start, size = int(rng.integers(max(1, frames - 10))), int(rng.integers(11))
            sequence[start : start + size] = 0.0
    return masked
