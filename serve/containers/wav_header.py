"""The header of a WAV file whose audio is still on its way."""

import struct
from dataclasses import dataclass

from emf.runtime.audio.riff_parts import NO_LENGTH_KNOWN
from emf.runtime.errors import AudioError
from emf.serve.session.audio_format import Encoding

_LONGEST = 1 << 16
_EXTENSIBLE = 0xFFFE
_ENCODINGS = {
    (1, 16): Encoding.PCM_S16LE,
    (1, 32): Encoding.PCM_S32LE,
    (3, 32): Encoding.PCM_F32LE,
    (6, 8): Encoding.ALAW,
    (7, 8): Encoding.MULAW,
}
"""By the format's tag and the bits of a sample."""


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What a WAV file says of its audio.

    Attributes:
        encoding: of its samples; `None` for one that sessions do not decode.
        sample_rate: in Hz.
        channels: how many.
        length: of the header, in bytes.
        audio_length: of the audio behind it, in bytes; `None` where it was not known when the header was written.
    """

    encoding: Encoding | None
    sample_rate: int
    channels: int
    length: int
    audio_length: int | None


def is_wav(start: bytes) -> bool:
    """Whether a WAV file begins so; `start` has at least twelve bytes."""
    return start[:4] == b"RIFF" and start[8:12] == b"WAVE"


def read_wav_header(data: bytes) -> WavHeader | None:
    """The header at the beginning of a WAV file; `None` where more bytes are needed.

    Raises:
        AudioError: it is malformed.
    """
    form, at = b"", 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"data":
            return _header(form, at + 8, size)
        if size > _LONGEST:
            break
        if name == b"fmt ":
            form = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    if at > _LONGEST or at + 8 <= len(data):
        raise AudioError("expected the audio of a WAV file behind its header, found none; send a whole header")
    return None


def _header(form: bytes, length: int, size: int) -> WavHeader:
    if len(form) < 16:
        raise AudioError("expected a WAV header with a format, found none; send a whole header")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if tag == _EXTENSIBLE and len(form) >= 26:
        (tag,) = struct.unpack_from("<H", form, 24)
    known = 0 < size < NO_LENGTH_KNOWN
    return WavHeader(_ENCODINGS.get((tag, bits)), rate, channels, length, size if known else None)
