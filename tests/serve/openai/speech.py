"""Recordings as clients send them, and as the library hears them."""

import io

import numpy as np
import soundfile

from emf.runtime.arrays import FloatArray
from tests.serve import recordings


def recording(name: str, sample_rate: int) -> FloatArray:
    """A recording of the demo, at a rate."""
    return recordings.recording(name, sample_rate).astype(np.float32) / np.float32(32768.0)


def encoded(samples: FloatArray, sample_rate: int, subtype: str) -> tuple[bytes, FloatArray]:
    """Samples without a header, as libsndfile writes and reads them; `subtype` is one of its names."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, subtype=subtype, format="RAW", endian="LITTLE")
    data = file.getvalue()
    heard, _ = soundfile.read(
        io.BytesIO(data), samplerate=sample_rate, channels=1, subtype=subtype, format="RAW", dtype="float32"
    )
    return data, heard
