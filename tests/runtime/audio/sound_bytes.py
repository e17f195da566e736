"""Sound files as bytes, whole and damaged, made in memory."""

import io
import struct

import numpy as np
import soundfile

from emf.runtime.arrays import FloatArray
from tests.signals import SAMPLE_RATE, speech_like

AUDIO = speech_like(2.0)


def encoded(form: str, subtype: str | None = None, samples: FloatArray = AUDIO, rate: int = SAMPLE_RATE) -> bytes:
    """Audio as libsndfile writes it."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def wav(data: bytes, size: int | None = None, riff_size: int | None = None) -> bytes:
    """16-bit mono at 16 kHz, with sizes that may be wrong."""
    size = len(data) if size is None else size
    riff_size = min(36 + size, 0xFFFFFFFF) if riff_size is None else riff_size
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", riff_size, b"WAVE", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    return head + struct.pack("<4sI", b"data", size) + data


def pcm(samples: FloatArray = AUDIO) -> bytes:
    """16-bit samples, little-endian."""
    return (samples * 32767).round().astype("<i2").tobytes()


def without_info(mp3: bytes) -> bytes:
    """MP3 without the frame that says how many there are: the first one."""
    index = mp3.index(b"\xff", 4)
    while mp3[index : index + 2] != mp3[:2]:
        index = mp3.index(b"\xff", index + 1)
    return mp3[index:]


def flac_of_unknown_length(flac: bytes) -> bytes:
    """FLAC as it is written into a pipe: 36 bits that count the samples are zero."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]


def loud_then_quiet() -> FloatArray:
    """Of which the first frames take more bytes than the mean."""
    noise = np.random.default_rng(1).uniform(-0.9, 0.9, SAMPLE_RATE).astype(np.float32)
    return np.concatenate([noise, np.zeros(6 * SAMPLE_RATE, np.float32)])
