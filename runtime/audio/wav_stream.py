"""WAV audio that is still being recorded: 16-bit PCM behind a header that states no length."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.part_decoder import one_channel
from emf.runtime.audio.riff_parts import NO_LENGTH_KNOWN
from emf.runtime.audio.samples import check_sample_rate, to_mono_float
from emf.runtime.audio.sound_source import read_what_came

_LONGEST_CHUNK = 1 << 16
_PCM, _EXTENSIBLE = 1, 0xFFFE


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """16-bit samples of all channels in turn, at a rate in Hz."""

    sample_rate: int
    channels: int


def read_header(source: BinaryIO, start: bytes) -> tuple[bytes, PcmFormat | None]:
    """Read a WAV header as far as it is one.

    Args:
        source: where to read.
        start: the first twelve bytes, which were read of it before.

    Returns:
        All bytes read, and the format of the audio behind them; `None` where it is no live PCM.
    """
    found = None
    while start[:4] == b"RIFF" and start[8:12] == b"WAVE":
        chunk = source.read(8)
        start += chunk
        if len(chunk) < 8:
            break
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data":
            return start, found if size >= NO_LENGTH_KNOWN else None
        if size > _LONGEST_CHUNK:
            break
        content = source.read(size + size % 2)
        start += content
        if name == b"fmt ":
            found = _pcm_format(content)
    return start, None


def _pcm_format(content: bytes) -> PcmFormat | None:
    if len(content) < 16:
        return None
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content)
    if tag == _EXTENSIBLE and len(content) >= 26:
        tag = struct.unpack_from("<H", content, 24)[0]
    return PcmFormat(rate, channels) if tag == _PCM and bits == 16 and channels else None


def read_pcm(
    source: BinaryIO, form: PcmFormat, channel: int | None = None, seconds: float = 0.1
) -> Iterator[tuple[int, FloatArray]]:
    """Read PCM as it comes, until it ends.

    Args:
        source: where to read.
        form: of the audio.
        channel: the channel to take, from 0; `None` takes the mean of all.
        seconds: length of a block at the most.

    Yields:
        Sample rate in Hz and mono samples.

    Raises:
        AudioError: an impossible sample rate, or no such channel.
    """
    rate = check_sample_rate(form.sample_rate)
    frame = 2 * form.channels
    rest = b""
    while data := read_what_came(source, frame * max(int(rate * seconds), 1)):
        data = rest + data
        whole = len(data) // frame * frame
        rest = data[whole:]
        block = np.frombuffer(data[:whole], "<i2").reshape(-1, form.channels).astype(np.float32) / np.float32(32768)
        yield rate, to_mono_float(one_channel(block, channel))
