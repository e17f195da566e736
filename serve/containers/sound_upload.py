"""A sound file that is there as a whole, decoded block by block for a session."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.part_decoder import decode, open_part
from emf.runtime.audio.sound_part import PartFile, SoundPart
from emf.runtime.audio.sound_parts import sound_parts
from emf.serve.session.audio_format import AudioFormat, Encoding

_BLOCK_SECONDS = 1.0
_NAME = Path("the audio")


def sound_format(file: BinaryIO, separate: bool) -> AudioFormat:
    """How `sound_blocks` gives the audio of a file: float, at its rate; as one channel, unless all are wanted.

    Raises:
        AudioError: it is no sound file that libsndfile reads, or has too many channels.
    """
    first = open_part(file, _NAME, sound_parts(file)[0])
    channels = first.channels if separate else 1
    return AudioFormat(Encoding.PCM_F32LE, first.sample_rate, channels, channels > 1)


def sound_blocks(file: BinaryIO, form: AudioFormat) -> Iterator[bytes]:
    """The audio of a file in the format that `sound_format` told.

    Raises:
        AudioError: it is damaged from its beginning.
    """
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


def _to_bytes(samples: FloatArray) -> bytes:
    return samples.astype("<f4").tobytes()
