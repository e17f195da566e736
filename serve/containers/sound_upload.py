"""A file with sound that is there as a whole, decoded block by block for a session."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.part_decoder import decode, one_channel, open_part
from emf.runtime.audio.sound_files import decode_sound
from emf.runtime.audio.sound_part import PartFile, SoundPart
from emf.runtime.audio.sound_parts import sound_parts
from emf.serve.containers.media import Media, demuxer_of
from emf.serve.session.audio_format import AudioFormat, Encoding

_BLOCK_SECONDS = 1.0
_NAME = Path("the audio")
_ENOUGH = 12
"""Bytes by which a format is known."""


def mono_blocks(file: BinaryIO, name: Path) -> Iterator[tuple[int, FloatArray]]:
    """Sample rate in Hz and mono samples of a file, its channels mixed; `name` may tell its format.

    Raises:
        AudioError: it is no file with sound, or damaged from its beginning.
    """
    media = _media(file)
    if media is None:
        yield from decode_sound(file, name, None, _BLOCK_SECONDS)
        return
    for block in media.blocks(_BLOCK_SECONDS):
        yield media.sample_rate, one_channel(block, None)


def sound_format(file: BinaryIO, separate: bool) -> AudioFormat:
    """How `sound_blocks` gives the audio of a file: float, at its rate; as one channel, unless all are wanted.

    Raises:
        AudioError: it is no file with sound, or has too many channels.
    """
    first = _media(file) or open_part(file, _NAME, sound_parts(file)[0])
    channels = first.channels if separate else 1
    return AudioFormat(Encoding.PCM_F32LE, first.sample_rate, channels, channels > 1)


def sound_blocks(file: BinaryIO, form: AudioFormat) -> Iterator[bytes]:
    """The audio of a file in the format that `sound_format` told.

    Raises:
        AudioError: it is damaged from its beginning.
    """
    if (media := _media(file)) is not None:
        for block in media.blocks(_BLOCK_SECONDS):
            yield _to_bytes(block if form.channels > 1 else one_channel(block, None))
        return
    if form.channels == 1:
        for _, block in decode(file, _NAME, None, _BLOCK_SECONDS):
            yield _to_bytes(block)
        return
    whole = SoundPart(0, file.seek(0, io.SEEK_END))
    # A decoder for each channel, each with a place in the file of its own.
    views = [cast(BinaryIO, PartFile(file, whole)) for _ in range(form.channels)]
    readers = [decode(view, _NAME, channel, _BLOCK_SECONDS) for channel, view in enumerate(views)]
    for blocks in zip(*readers, strict=True):
        yield _to_bytes(np.stack([block for _, block in blocks], axis=1))


def _media(file: BinaryIO) -> Media | None:
    """The decoder of a file from its beginning; `None` where libsndfile decodes it."""
    file.seek(0)
    start = file.read(_ENOUGH)
    file.seek(0)
    demuxer = demuxer_of(start)
    return None if demuxer is None else Media(file, demuxer)


def _to_bytes(samples: FloatArray) -> bytes:
    return samples.astype("<f4").tobytes()
