"""Sound files and raw PCM, read block by block as mono float32."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.resampler import Resampler
from emf.runtime.audio.samples import to_mono_float
from emf.runtime.audio.sound_parts import read_start, sound_parts
from emf.runtime.audio.sound_source import errors_of, kept, open_sound, read_what_came


def read_blocks(path: str | Path, channel: int | None = None, seconds: float = 1.0) -> Iterator[tuple[int, FloatArray]]:
    """Read a sound file block by block, until nothing comes.

    A file that breaks off, or holds what cannot be read, gives what is there; a logged warning says what is missing.
    Several recordings in one file, such as chained Ogg or joined MP3, are read one behind the other, at the sample
    rate of the first.

    Args:
        path: any format that libsndfile reads; also a named pipe, which is read to its end first.
        channel: the channel to take, from 0; `None` takes the mean of all.
        seconds: length of a block.

    Yields:
        Sample rate in Hz and mono samples.

    Raises:
        AudioError: the file is missing, may not be read, is not audio, has none that can be read, or lacks the channel.
    """
    from emf.runtime.audio.part_decoder import decode  # a service that is sent samples does without libsndfile

    with open_sound(Path(path)) as file:
        yield from decode(file, Path(path), channel, seconds)


def decode_sound(
    file: BinaryIO, name: Path, channel: int | None = None, seconds: float = 1.0
) -> Iterator[tuple[int, FloatArray]]:
    """As `read_blocks`, of a file that is open to read and to seek; `name` is for messages, and may tell the format."""
    from emf.runtime.audio.part_decoder import decode

    with errors_of(str(name)):
        yield from decode(file, name, channel, seconds)


def check_sound_file(path: str | Path) -> None:
    """Open a sound file and read no audio; a pipe is left alone.

    Raises:
        AudioError: see `read_blocks`.
    """
    from emf.runtime.audio.part_decoder import open_part

    if not Path(path).is_fifo():
        with open_sound(Path(path)) as file:
            open_part(file, Path(path), sound_parts(file, Path(path).suffix)[0])


def read_stream(source: BinaryIO, sample_rate: int, channel: int | None = None) -> Iterator[tuple[int, FloatArray]]:
    """Read standard input: raw PCM and live WAV as they come, every other sound file once it has ended.

    Args:
        source: where to read.
        sample_rate: of raw PCM, in Hz.
        channel: see `read_blocks`; raw PCM has one.

    Yields:
        Sample rate in Hz and mono samples.

    Raises:
        AudioError: see `read_blocks`.
    """
    from emf.runtime.audio.part_decoder import decode
    from emf.runtime.audio.wav_stream import read_header, read_pcm

    start, is_sound_file = read_start(source)
    if not is_sound_file:
        yield from read_raw_blocks(source, sample_rate, start=start)
        return
    name = "standard input"
    with errors_of(name):
        start, live = read_header(source, start)
        if live is not None:
            yield from read_pcm(source, live, channel)
            return
        with kept(source, start) as file:
            yield from decode(file, Path(name), channel, 1.0)


def read_raw_blocks(
    source: BinaryIO, sample_rate: int, seconds: float = 0.1, start: bytes = b""
) -> Iterator[tuple[int, FloatArray]]:
    """Read 16-bit little-endian mono PCM, as it comes, until it ends; an odd last byte is dropped.

    Args:
        source: where to read.
        sample_rate: in Hz.
        seconds: length of a block at the most.
        start: what was read of it before.

    Yields:
        Sample rate in Hz and mono samples.
    """
    size = 2 * max(int(sample_rate * seconds), 1)
    data = start or read_what_came(source, size)
    while data:
        even = len(data) // 2 * 2
        yield sample_rate, to_mono_float(np.frombuffer(data[:even], "<i2").astype(np.int16))
        more = read_what_came(source, size)
        data = data[even:] + more if more else b""


def read_resampled(path: str | Path, sample_rate: int, most: int | None = None) -> FloatArray:
    """A sound file as mono audio at `sample_rate`; an empty file gives no samples.

    Args:
        path: any format that libsndfile reads.
        sample_rate: in Hz.
        most: samples at the most; the rest of a longer file is not read.

    Raises:
        AudioError: see `read_blocks`.
    """
    pieces, length, resampler = [np.zeros(0, np.float32)], 0, None
    for rate, block in read_blocks(path):
        resampler = resampler or Resampler(rate, sample_rate)
        pieces.append(resampler(block))
        length += len(pieces[-1])
        if most is not None and length >= most:
            break
    if resampler is not None:
        pieces.append(resampler(np.zeros(0, np.float32), last=True))
    return np.concatenate(pieces)[:most]
