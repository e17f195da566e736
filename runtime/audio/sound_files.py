"""Sound files and raw PCM, read block by block as mono float32."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.resampler import Resampler
from emf.runtime.audio.samples import check_sample_rate, to_mono_float
from emf.runtime.errors import AudioError


def read_blocks(path: str | Path, channel: int | None = None, seconds: float = 1.0) -> Iterator[tuple[int, FloatArray]]:
    """Read a sound file block by block.

    Args:
        path: any format that libsndfile reads.
        channel: the channel to take, from 0; `None` takes the mean of all.
        seconds: length of a block.

    Yields:
        Sample rate in Hz and mono samples.

    Raises:
        AudioError: the file is missing, is not audio, breaks off, or lacks the channel.
    """
    import soundfile  # a service that is sent samples does without

    if not Path(path).is_file():
        raise AudioError(f"{path}: expected a sound file, but there is no such file")
    try:
        with soundfile.SoundFile(str(path)) as sound:
            rate = check_sample_rate(sound.samplerate)
            if channel is not None and not 0 <= channel < sound.channels:
                raise AudioError(f"{path}: expected a channel from 0 to {sound.channels - 1}, found {channel}")
            for block in sound.blocks(max(int(rate * seconds), 1), dtype="float32", always_2d=True):
                yield rate, to_mono_float(block if channel is None else block[:, channel])
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(f"{path}: expected a format that libsndfile reads ({error}); convert it to WAV") from error
    except AudioError as error:
        if str(error).startswith(str(path)):
            raise
        raise AudioError(f"{path}: {error}") from error


def read_raw_blocks(source: BinaryIO, sample_rate: int, seconds: float = 0.1) -> Iterator[tuple[int, FloatArray]]:
    """Read 16-bit little-endian mono PCM, as it comes, until it ends; an odd last byte is dropped.

    Yields:
        Sample rate in Hz and mono samples.
    """
    size = 2 * max(int(sample_rate * seconds), 1)
    rest = b""
    while data := source.read(size):
        data = rest + data
        even = len(data) // 2 * 2
        rest = data[even:]
        yield sample_rate, to_mono_float(np.frombuffer(data[:even], "<i2").astype(np.int16))


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
