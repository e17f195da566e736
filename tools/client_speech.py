"""A recording as a client sends it: at a rate, in an encoding, at a pace; and what the library hears in it."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from emf.runtime.arrays import FloatArray
from emf.serve.session.audio_format import Encoding

_SUBTYPES = {
    Encoding.PCM_S16LE: "PCM_16",
    Encoding.PCM_S32LE: "PCM_32",
    Encoding.PCM_F32LE: "FLOAT",
    Encoding.MULAW: "ULAW",
    Encoding.ALAW: "ALAW",
}
"""As libsndfile calls them: what it writes and reads is independent of the server."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a protocol sends its audio."""

    encoding: Encoding
    sample_rate: int

    def __str__(self) -> str:
        return f"{self.encoding.value}@{self.sample_rate}"


@dataclass(frozen=True, slots=True)
class Speech:
    """A recording on its way.

    Attributes:
        form: of `data`.
        data: samples without a header.
        heard: the same samples as the library takes them.
        is_live: sent at the pace of speech, not as fast as it goes.
        message_seconds: audio in each message.
    """

    form: Form
    data: bytes
    heard: FloatArray
    is_live: bool = False
    message_seconds: float = 0.1

    @property
    def wav(self) -> bytes:
        """As a WAV file."""
        file = io.BytesIO()
        subtype = _SUBTYPES[self.form.encoding]
        soundfile.write(file, self.heard.astype(np.float64), self.form.sample_rate, subtype=subtype, format="WAV")
        return file.getvalue()

    async def messages(self) -> AsyncIterator[bytes]:
        """The data in pieces, each when it is due."""
        loop = asyncio.get_running_loop()
        size = max(round(self.message_seconds * self.form.sample_rate), 1) * self.form.encoding.bytes_per_sample
        begin = loop.time()
        for number, at in enumerate(range(0, len(self.data), size), start=1):
            if self.is_live:
                await asyncio.sleep(max(begin + number * self.message_seconds - loop.time(), 0.0))
            yield self.data[at : at + size]


def read_speech(path: Path, form: Form, is_live: bool = False, message_seconds: float = 0.1) -> Speech:
    """A recording in a form, its channels mixed."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return speech_of(samples.mean(axis=1), rate, form, is_live, message_seconds)


def speech_of(
    samples: FloatArray, sample_rate: int, form: Form, is_live: bool = False, message_seconds: float = 0.1
) -> Speech:
    """Samples in a form."""
    rate, subtype = form.sample_rate, _SUBTYPES[form.encoding]
    at_rate = np.clip(soxr.resample(samples, sample_rate, rate), -1.0, 1.0 - 2.0**-15)
    file = io.BytesIO()
    soundfile.write(file, at_rate.astype(np.float64), rate, subtype=subtype, format="RAW", endian="LITTLE")
    data = file.getvalue()
    heard, _ = soundfile.read(
        io.BytesIO(data), samplerate=rate, channels=1, subtype=subtype, format="RAW", endian="LITTLE", dtype="float32"
    )
    return Speech(form, data, np.asarray(heard, np.float32), is_live, message_seconds)
