"""Speech for the protocols' tests."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

RECORDINGS = Path(__file__).parents[2] / "export" / "demo" / "recordings"
Samples = npt.NDArray[np.int16]


def recording(name: str = "digits", sample_rate: int = 16_000) -> Samples:
    """A recording of the demo, as int16 at a rate."""
    samples, rate = soundfile.read(RECORDINGS / f"{name}.flac", dtype="float32")
    at_rate = soxr.resample(samples, rate, sample_rate)
    return np.asarray(np.clip(np.round(at_rate * 32767.0), -32768, 32767), np.int16)


def silence(seconds: float, sample_rate: int = 16_000) -> Samples:
    """Nothing, for some time."""
    return np.zeros(round(seconds * sample_rate), np.int16)
