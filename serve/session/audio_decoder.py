"""Bytes from the wire to float32 samples."""

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.serve.session import g711
from emf.serve.session.audio_format import AudioFormat, Encoding


class AudioDecoder:
    """Decodes the audio of one session. Messages may break anywhere, also within a sample."""

    def __init__(self, form: AudioFormat) -> None:
        self._form = form
        self._rest = b""

    def decode(self, data: bytes) -> FloatArray:
        """The next samples, shape (frames, channels). What is no whole frame yet waits for the next call."""
        if self._rest:
            data = self._rest + data
        size = self._form.bytes_per_frame
        whole = len(data) // size * size
        self._rest = data[whole:]
        return _to_float(data[:whole], self._form.encoding).reshape(-1, self._form.channels)


def _to_float(data: bytes, encoding: Encoding) -> FloatArray:
    match encoding:
        case Encoding.PCM_S16LE:
            return np.frombuffer(data, "<i2").astype(np.float32) * np.float32(2.0**-15)
        case Encoding.PCM_S32LE:
            return np.frombuffer(data, "<i4").astype(np.float32) * np.float32(2.0**-31)
        case Encoding.PCM_F32LE:
            return np.frombuffer(data, "<f4").astype(np.float32)
        case Encoding.MULAW:
            return g711.MULAW[np.frombuffer(data, np.uint8)]
        case Encoding.ALAW:
            return g711.ALAW[np.frombuffer(data, np.uint8)]
