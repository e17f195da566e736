"""How audio comes over the wire: its encoding, rate and channels."""

from dataclasses import dataclass
from enum import StrEnum

from emf.runtime.audio.samples import check_sample_rate
from emf.runtime.errors import AudioError

MOST_CHANNELS = 16


class Encoding(StrEnum):
    """Encodings of samples; all are little-endian."""

    PCM_S16LE = "pcm_s16le"
    PCM_S32LE = "pcm_s32le"
    PCM_F32LE = "pcm_f32le"
    MULAW = "mulaw"
    ALAW = "alaw"

    @property
    def bytes_per_sample(self) -> int:
        """Size of a sample."""
        return _SIZES[self]


_SIZES = {Encoding.PCM_S16LE: 2, Encoding.PCM_S32LE: 4, Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Format of a session's audio.

    Attributes:
        encoding: of each sample.
        sample_rate: in Hz.
        channels: samples of a moment, one channel after the other.
        separate: each channel gets a transcript of its own; otherwise their mean is transcribed.
    """

    encoding: Encoding = Encoding.PCM_S16LE
    sample_rate: int = 16_000
    channels: int = 1
    separate: bool = False

    def __post_init__(self) -> None:
        check_sample_rate(self.sample_rate)
        if isinstance(self.channels, bool) or not 1 <= self.channels <= MOST_CHANNELS:
            raise AudioError(f"expected 1 to {MOST_CHANNELS} channels, found {self.channels!r:.40}; mix them down")

    @property
    def bytes_per_frame(self) -> int:
        """Size of the samples of a moment, over all channels."""
        return self.channels * self.encoding.bytes_per_sample

    @property
    def byte_rate(self) -> int:
        """Bytes of a second, over all channels."""
        return self.bytes_per_frame * self.sample_rate

    @property
    def num_streams(self) -> int:
        """Streams that are decoded: one for each separate channel."""
        return self.channels if self.separate else 1
