"""G.711, the encodings of telephony: eight bits a sample on a curved scale (ITU-T G.711)."""

import numpy as np

from emf.runtime.arrays import FloatArray

_FULL_SCALE = 32768.0


def _mulaw_table() -> FloatArray:
    """The sample that each byte of μ-law stands for."""
    bits = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((bits & 0x0F) << 3) + 0x84) << ((bits >> 4) & 0x07)) - 0x84
    return np.asarray(np.where(bits & 0x80, -magnitude, magnitude) / _FULL_SCALE, np.float32)


def _alaw_table() -> FloatArray:
    """The sample that each byte of A-law stands for."""
    bits = np.arange(256, dtype=np.int32) ^ 0x55
    exponent, mantissa = (bits >> 4) & 0x07, bits & 0x0F
    magnitude = np.where(exponent, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0), (mantissa << 4) + 8)
    return np.asarray(np.where(bits & 0x80, magnitude, -magnitude) / _FULL_SCALE, np.float32)


MULAW = _mulaw_table()
ALAW = _alaw_table()
