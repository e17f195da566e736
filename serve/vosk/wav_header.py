"""The header of a WAV file, which some clients of vosk-server send as if it were audio."""

from dataclasses import dataclass

_RIFF, _WAVE, _DATA = b"RIFF", b"WAVE", b"data"
_RATE = slice(24, 28)
_CHUNK_HEADER = 8
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class FirstAudio:
    """The first audio of a connection.

    Attributes:
        samples: bytes, without the header.
        sample_rate: that the header names, in Hz; `None` without one.
    """

    samples: bytes
    sample_rate: int | None = None


def without_wav_header(first: bytes) -> FirstAudio:
    """Take the header off, where there is one."""
    data = first.find(_DATA, 12, _LONGEST)
    if not first.startswith(_RIFF) or first[8:12] != _WAVE or data < _RATE.stop:
        return FirstAudio(first)
    return FirstAudio(first[data + _CHUNK_HEADER :], int.from_bytes(first[_RATE], "little"))
