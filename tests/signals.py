"""Synthetic audio for the tests; needs numpy alone."""

import numpy as np

from emf.runtime.arrays import FloatArray

SAMPLE_RATE = 16_000


def speech_like(seconds: float, seed: int = 0, sample_rate: int = SAMPLE_RATE) -> FloatArray:
    """Syllables of gliding harmonics and noise with pauses between them; deterministic."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    knots = np.arange(0.0, seconds + 0.3, 0.12)
    level = np.interp(time, knots, random.choice([0.0, 0.1, 0.4, 1.0], len(knots)))
    formant = np.interp(time, knots, random.uniform(2.0, 14.0, len(knots)))
    pitch = np.interp(time, knots, random.uniform(90.0, 220.0, len(knots)))
    phase = 2.0 * np.pi * np.cumsum(pitch) / sample_rate
    harmonics = np.arange(1, 20)[:, None]
    voice = (np.sin(harmonics * phase) * np.exp(-0.5 * ((harmonics - formant) / 2.0) ** 2)).sum(axis=0)
    noise = random.standard_normal(len(time))
    return np.asarray(0.15 * level * voice + (0.02 * level + 1e-3) * noise, np.float32)
