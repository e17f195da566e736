"""Log-mel features as torchaudio's RNN-T bundles define them, in numpy.

The transform runs in float64, which costs the same: in float32, torchaudio's rounding moves
almost silent bins by up to a few 1e-4 after normalisation.

Source: `torchaudio.transforms.MelSpectrogram` with its defaults (Hann window, power 2, HTK mel
scale, no normalisation of the filters) and `torchaudio.pipelines.rnnt_pipeline`
(`_piecewise_linear_log`, `_gain`, `_GlobalStatsNormalization`).
"""

import math

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Frontend

# The bundle scales power by the square of int16's maximum (`_gain`): 10 ** (0.05 * 2 * 20 * log10(32767)).
POWER_GAIN = float(np.iinfo(np.int16).max) ** 2


def mel_filterbank(n_freqs: int, n_mels: int, sample_rate: int) -> FloatArray:
    """Triangular filters on the HTK mel scale, shape (n_freqs, n_mels).

    Source: `torchaudio.functional.melscale_fbanks` with `mel_scale="htk"` and `norm=None`. Every step is
    rounded to float32 as there, since the narrow filters' edges are so close to a bin that rounding shows in
    the features; but the power is computed in float64 first, as numpy's in float32 depends on the processor.
    """
    nyquist = sample_rate // 2
    frequencies = _linspace(nyquist, n_freqs)
    mel_points = _linspace(2595.0 * math.log10(1.0 + nyquist / 700.0), n_mels + 2)
    powers = (10.0 ** (mel_points / np.float32(2595.0)).astype(np.float64)).astype(np.float32)
    centres = np.float32(700.0) * (powers - np.float32(1.0))
    widths = np.diff(centres)
    slopes = centres[None, :] - frequencies[:, None]
    rising = -slopes[:, :-2] / widths[:-1]
    falling = slopes[:, 2:] / widths[1:]
    return np.maximum(np.float32(0.0), np.minimum(rising, falling))


def _linspace(end: float, count: int) -> FloatArray:
    """`torch.linspace(0, end, count)`: float32, counted from the nearer end."""
    step = np.float32(end) / np.float32(count - 1)
    indices = np.arange(count, dtype=np.float32)
    backwards = np.float32(end) - step * indices[::-1]
    return np.where(indices < count // 2, step * indices, backwards).astype(np.float32, copy=False)


class LogMel:
    """Waveform frames to normalised log-mel features; immutable, safe to share."""

    def __init__(self, frontend: Frontend) -> None:
        self.n_fft = frontend.n_fft
        self.hop_length = frontend.hop_length
        self.n_mels = frontend.n_mels
        # Rounded to float32 at every step as torch.hann_window does, then used in float64.
        angles = np.arange(frontend.n_fft, dtype=np.float32) * np.float32(2.0 * np.pi / frontend.n_fft)
        cosines = np.cos(angles.astype(np.float64)).astype(np.float32)
        self._window = (np.float32(0.5) - np.float32(0.5) * cosines).astype(np.float64)
        filters = mel_filterbank(frontend.n_fft // 2 + 1, frontend.n_mels, frontend.sample_rate)
        self._scaled_filters = filters * np.float32(POWER_GAIN)
        self._mean = np.asarray(frontend.mean, np.float32)
        self._invstddev = np.asarray(frontend.invstddev, np.float32)

    def __call__(self, samples: FloatArray, num_frames: int) -> FloatArray:
        """Features of `num_frames` frames, the first of which starts at `samples[0]`.

        Args:
            samples: at least (num_frames - 1) * hop_length + n_fft samples.
            num_frames: how many frames to compute.

        Returns:
            Normalised features, shape (num_frames, n_mels), float32.
        """
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.n_fft)[:: self.hop_length][:num_frames]
        spectrum = np.fft.rfft(frames * self._window)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        energy = power @ self._scaled_filters
        # As the bundle computes it in place: log(x) above e, then everything not above e by now divided by e.
        logarithm = np.where(energy > math.e, np.log(np.maximum(energy, math.e)), energy)
        compressed = np.where(logarithm > math.e, logarithm, logarithm / np.float32(math.e))
        return ((compressed - self._mean) * self._invstddev).astype(np.float32, copy=False)
