"""Sound files decoded part by part, each from its beginning to where nothing comes any more."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.resampler import Resampler
from emf.runtime.audio.samples import check_sample_rate, to_mono_float
from emf.runtime.audio.sound_part import PartFile, SoundPart
from emf.runtime.audio.sound_parts import sound_parts
from emf.runtime.errors import AudioError

_LOGGER = logging.getLogger(__name__)
_KNOWN_BY_NAME = {".gsm", ".vox", ".au", ".snd"}
"""Formats without a header, which libsndfile tells by the name."""
_RAW = {".raw", ".pcm"}
_LONGEST_HEADER = 8192
_TRULY_EMPTY = {"OGG", "FLAC", "MP3", "WAV", "WAVEX"}
"""Formats of which audio is found whatever the header says; large ones without it are tags alone."""
_NEGLIGIBLE_SECONDS = 0.1


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is never asked to seek: not all codecs can, and others land in another place."""

    def seekable(self) -> bool:
        return False


class PartDecoder:
    """Decodes a part; a damaged place ends it.

    Attributes:
        sample_rate: in Hz.
        channels: how many.
        frames: how many were read so far.
        problem: why there are not more, once all are read; empty if nothing is wrong.
    """

    def __init__(self, source: PartFile | str, surplus: int = 0) -> None:
        """Open it.

        Args:
            source: the part, or the name of a file where that alone tells the format.
            surplus: frames at the beginning that are not taken.

        Raises:
            AudioError: it is in no format that libsndfile reads, or has an impossible sample rate.
        """
        try:
            self._sound = _Forward(source)
        except soundfile.SoundFileError as error:
            raise AudioError(
                f"expected a sound file that libsndfile reads, but: {_reason(error)}; convert it to WAV"
            ) from error
        self._source = source
        self.sample_rate = check_sample_rate(self._sound.samplerate)
        self.channels: int = self._sound.channels
        self.frames = self._taken = 0
        self._surplus = surplus
        self.problem = ""

    def blocks(self, seconds: float) -> Iterator[FloatArray]:
        """The audio, shape (frames, channels), float32, until nothing comes.

        Raises:
            AudioError: the header promises none, but much follows it.
        """
        count = max(int(self.sample_rate * seconds), 1)
        with self._sound as sound:
            while not self.problem:
                block = np.empty((count, self.channels), np.float32)
                try:
                    read = len(sound.read(out=block))
                except soundfile.SoundFileError as error:
                    self.problem = f"it is damaged ({_reason(error)})"
                    read = self._read_before_the_damage()
                if not read:
                    break
                self._taken += read
                kept = block[max(read - self._taken + self._surplus, 0) : read]
                self.frames += len(kept)
                yield kept
            self.problem = "; ".join(filter(None, (self.problem, self._missing())))

    def _read_before_the_damage(self) -> int:
        try:
            return max(int(self._sound.tell()) - self._taken, 0)
        except soundfile.SoundFileError:  # a codec that cannot say
            return 0

    def _missing(self) -> str:
        promised: int = self._sound.frames
        known = self._sound.format != "MP3" and promised < 2**62
        if known and promised - self._taken > _NEGLIGIBLE_SECONDS * self.sample_rate:
            return f"it breaks off, {promised / self.sample_rate:.2f} s are promised"
        if not self._taken and self._sound.format not in _TRULY_EMPTY and isinstance(self._source, PartFile):
            size = self._source.seek(0, io.SEEK_END)
            if size > _LONGEST_HEADER:
                raise AudioError(
                    f"expected audio, but the header of these {size} bytes promises none; repair the header "
                    "or convert the file to WAV"
                )
        return ""


def _reason(error: Exception) -> str:
    """What libsndfile says, without the name under which it was given the file."""
    return str(getattr(error, "error_string", error)).rstrip(".")


def open_part(file: BinaryIO, path: Path, part: SoundPart) -> PartDecoder:
    """A decoder of a part of a file; `path` is the file's.

    Raises:
        AudioError: see `PartDecoder`.
    """
    try:
        return PartDecoder(PartFile(file, part), part.surplus)
    except AudioError as error:
        if not part.start and path.suffix.lower() in _KNOWN_BY_NAME:
            return PartDecoder(str(path))
        if path.suffix.lower() in _RAW:
            raise AudioError(f"{error}, or give raw audio to emf-transcribe on standard input") from error
        raise


def decode(file: BinaryIO, path: Path, channel: int | None, seconds: float) -> Iterator[tuple[int, FloatArray]]:
    """All parts of a file, one behind the other; a logged warning says what is missing.

    Args:
        file: open to read and to seek.
        path: its name.
        channel: the channel to take, from 0; `None` takes the mean of all.
        seconds: length of a block.

    Yields:
        Sample rate of the first part in Hz, and mono samples.

    Raises:
        AudioError: no part can be decoded, or one lacks the channel.
    """
    parts, notes, rate, read = sound_parts(file, path.suffix), [], 0, 0.0
    for part in parts:
        try:
            decoder = open_part(file, path, part)
        except AudioError as error:
            if part is parts[0]:
                raise
            notes.append(f"its bytes from {part.start} to {part.end} are left out ({error})")
            continue
        rate = rate or decoder.sample_rate
        resampler = Resampler(decoder.sample_rate, rate)
        for block in decoder.blocks(seconds):
            yield rate, resampler(to_mono_float(one_channel(block, channel)))
        if decoder.sample_rate != rate:
            yield rate, resampler(np.zeros(0, np.float32), last=True)
        read += decoder.frames / decoder.sample_rate
        notes += [note] if (note := decoder.problem or part.note) else []
    if notes and not read:
        raise AudioError(f"expected audio, but {'; '.join(notes)}, and none can be read")
    if notes:
        _LOGGER.warning("%s: %s; %.2f s of audio are read", path, "; ".join(notes), read)


def one_channel(block: FloatArray, channel: int | None) -> FloatArray:
    """A channel of shape (frames, channels), from 0; `None` takes the mean of all.

    Raises:
        AudioError: there is no such channel.
    """
    if channel is None:
        return np.asarray(block.mean(axis=1), np.float32)
    if not 0 <= channel < block.shape[1]:
        raise AudioError(f"expected a channel from 0 to {block.shape[1] - 1}, found {channel}")
    return block[:, channel]
