"""Audio at the boundary: any array in, mono float32 out."""

import numpy as np
import numpy.typing as npt

from emf.runtime.arrays import FloatArray
from emf.runtime.errors import AudioError

MIN_SAMPLE_RATE = 1_000
MAX_SAMPLE_RATE = 768_000
MAX_CHANNELS = 64
MAX_AMPLITUDE = 16.0
"""Resampled or mixed audio may lie above 1, sixteen full tracks at 16; integers kept as floats lie far above."""
_INTEGER_SCALE = {np.dtype(np.int16): 2.0**-15, np.dtype(np.int32): 2.0**-31}


def to_mono_float(samples: npt.ArrayLike) -> FloatArray:
    """Check audio and bring it to mono float32.

    Args:
        samples: shape (n,), or (n, channels), of which the mean is taken; floating point in
            [-1, 1], int16 or int32. Shape (1, n) is refused: it may be n samples or n channels.

    Returns:
        Shape (n,), float32, a copy or the same array.

    Raises:
        AudioError: another element type or shape, or values that are not finite or outside [-16, 16].
    """
    try:
        array = np.asarray(samples)
    except ValueError as error:
        raise AudioError(f"expected samples of shape (n,) or (n, channels), found none ({error})") from error
    if array.size == 0 and array.ndim <= 2:
        return np.zeros(0, np.float32)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] > MAX_CHANNELS):
        raise AudioError(
            f"expected samples of shape (n,) or (n, channels) with at most {MAX_CHANNELS} channels, found shape "
            f"{array.shape}; pass one channel, or transpose the array"
        )
    if array.ndim == 2 and array.shape[0] == 1 < array.shape[1]:
        raise AudioError(
            f"expected samples of shape (n,) or (n, channels), found {array.shape}, which may be either; pass "
            "samples[0] for one channel, or samples.mean(axis=1) for one sample of each channel"
        )
    if array.dtype in _INTEGER_SCALE:
        array = array.astype(np.float32) * np.float32(_INTEGER_SCALE[array.dtype])
    elif not np.issubdtype(array.dtype, np.floating):
        raise AudioError(f"expected floating-point, int16 or int32 samples, found {array.dtype}; convert them first")
    with np.errstate(over="ignore", invalid="ignore"):  # both end in infinity or NaN
        mono = array.mean(axis=1) if array.ndim == 2 else array
        result: FloatArray = np.ascontiguousarray(mono, np.float32)
    if not (peak := np.abs(result).max()) <= MAX_AMPLITUDE:
        if not np.isfinite(peak):
            raise AudioError(
                "expected finite samples in [-1, 1], found NaN or infinity; repair the audio or pass silence"
            )
        raise AudioError(
            f"expected samples in [-1, 1], found {peak:.6g}; where they are integers kept as floats, divide them by "
            "their full scale (32768 for 16 bits) or pass an int16 array"
        )
    return result


def check_sample_rate(sample_rate: object) -> int:
    """A usable sample rate in Hz.

    Raises:
        AudioError: not an integral number within [1 000, 768 000].
    """
    if (
        not isinstance(sample_rate, int | float | np.integer | np.floating)
        or isinstance(sample_rate, bool)
        or not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE
        or sample_rate != int(sample_rate)
    ):
        raise AudioError(
            f"expected a sample rate from {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz, found {sample_rate!r:.40}; "
            "pass the rate at which the samples were taken"
        )
    return int(sample_rate)
