"""MP4, M4A, WebM, Matroska and AAC, which libsndfile does not read. PyAV decodes them: the extra `media`."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.samples import check_sample_rate
from emf.runtime.errors import AudioError
from emf.serve.session.audio_format import MOST_CHANNELS

if TYPE_CHECKING:
    import av

_LOGGER = logging.getLogger(__name__)
_MATROSKA = b"\x1aE\xdf\xa3"
_CODECS = ("aac", "alac", "flac", "mp3", "mp3float", "opus", "libopus", "vorbis", "libvorbis", "ac3", "eac3")
_PCM = "pcm_"
_MOST_BAD_PACKETS = 100
_OPTIONS = {"probesize": "65536", "analyzeduration": "0", "enable_drefs": "0"}
"""The format is known, so little has to be read ahead; a file must not name others."""
_NAMES = {"mp4": "MP4", "matroska": "WebM or Matroska", "aac": "AAC"}
_SCALES = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}


class Readable(Protocol):
    """Where a file comes from; what can also seek and tell may begin with its audio."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


def demuxer_of(start: bytes) -> str | None:
    """What decodes a file that begins so, of which twelve bytes are enough; `None` is libsndfile."""
    if start[4:8] in (b"ftyp", b"moov"):
        return "mp4"
    if start.startswith(_MATROSKA):
        return "matroska"
    if len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0:
        return "aac"
    return None


class Media:
    """Decodes the first audio of a file.

    Attributes:
        sample_rate: in Hz.
        channels: how many.
    """

    def __init__(self, source: Readable, demuxer: str) -> None:
        """Read up to the first samples.

        Args:
            source: the file.
            demuxer: by `demuxer_of`.

        Raises:
            AudioError: it has no audio that can be decoded, or PyAV is not installed.
        """
        self._name = _NAMES[demuxer]
        try:
            import av
        except ModuleNotFoundError as error:
            raise AudioError(
                f"expected WAV, FLAC, Ogg, MP3 or another format that libsndfile reads, found {self._name}; convert "
                "it, or install emformer-deploy[media] at the server"
            ) from error
        self._errors: tuple[type[Exception], ...] = (av.error.FFmpegError, ValueError, EOFError, OverflowError)
        self._bad_packets = 0
        try:
            open_input: Callable[..., av.container.InputContainer] = av.open
            self._container = open_input(source, "r", format=demuxer, options=_OPTIONS, **_lenient_text(av.__version__))
            self._frames = self._decode(self._container)
            self._first: FloatArray | None = next(self._frames, None)
        except self._errors as error:
            raise self._unreadable(_reason(error)) from error
        if self._first is None:
            raise self._unreadable("it holds none")

    def blocks(self, seconds: float) -> Iterator[FloatArray]:
        """The audio, shape (frames, channels), float32. A damaged place ends it, and a logged warning says so."""
        size = max(int(seconds * self.sample_rate), 1)
        waiting: list[FloatArray] = [] if self._first is None else [self._first]
        self._first = None
        try:
            for samples in self._frames:
                waiting.append(samples)
                if sum(map(len, waiting)) >= size:
                    yield np.concatenate(waiting)
                    waiting.clear()
        except self._errors as error:
            _LOGGER.warning("%s ends early: %s", self._name, _reason(error))
        finally:
            with suppress(*self._errors):
                self._container.close()
        if waiting:
            yield np.concatenate(waiting)

    def _decode(self, container: "av.container.InputContainer") -> Iterator[FloatArray]:
        if not container.streams.audio:
            raise ValueError("it holds none")
        stream = container.streams.audio[0]
        codec = getattr(stream.codec_context, "name", "something unknown")  # a damaged header leaves no context
        if codec not in _CODECS and not codec.startswith(_PCM):
            raise ValueError(f"its audio is encoded as {codec}")
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except self._errors:
                self._bad_packets += 1
                if self._bad_packets > _MOST_BAD_PACKETS:
                    raise
                continue
            for frame in frames:
                yield self._samples(frame)

    def _samples(self, frame: Any) -> FloatArray:
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        if not hasattr(self, "channels"):
            self.sample_rate, self.channels = check_sample_rate(rate), channels
            if not 1 <= channels <= MOST_CHANNELS:
                raise ValueError(f"it has {channels} channels")
        if (rate, channels) != (self.sample_rate, self.channels):
            raise ValueError(f"it changes to {rate} Hz and {channels} channels")
        data = frame.to_ndarray()
        data = data.T if frame.format.is_planar else data.reshape(-1, channels)
        if data.dtype == np.uint8:
            return np.asarray((data.astype(np.float32) - 128.0) / 128.0, np.float32)
        return np.asarray(data / _SCALES.get(data.dtype, 1.0), np.float32)

    def _unreadable(self, reason: str) -> AudioError:
        return AudioError(f"expected audio in this {self._name} file, but {reason}; convert it to WAV")


def _lenient_text(version: str) -> dict[str, str]:
    """What makes PyAV of this version accept titles that are not UTF-8; from 19 on it always does."""
    return {"metadata_errors": "replace"} if int(version.split(".")[0]) < 19 else {}


def _reason(error: Exception) -> str:
    """What PyAV says, without a number and the name of a file."""
    return str(getattr(error, "strerror", None) or error)
