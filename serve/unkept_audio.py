"""Audio that a client must be able to send again, until the server says that it is kept."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class UnkeptAudio:
    """The end of a session's audio as bytes. Positions are samples (of each channel) from the session's begin.

    Attributes:
        bytes_per_sample: of all channels together.
        next: the sample to send next.
        end: the sample behind the last; a sample that came in part only does not count.
    """

    bytes_per_sample: int
    next: int = field(default=0, init=False)
    _start: int = field(default=0, init=False)
    _data: bytearray = field(default_factory=bytearray, init=False)

    @property
    def end(self) -> int:
        """See the class."""
        return self._start + len(self._data) // self.bytes_per_sample

    @property
    def unkept(self) -> int:
        """Samples that the server may still ask for."""
        return self.end - self._start

    def add(self, data: bytes) -> None:
        """Append audio."""
        self._data += data

    def take(self, most: int) -> bytes:
        """The next samples to send, at most so many; none where all were sent."""
        begin, end = self.next - self._start, min(self.next + most, self.end) - self._start
        self.next = self._start + end
        return bytes(self._data[begin * self.bytes_per_sample : end * self.bytes_per_sample])

    def keep(self, sample: int) -> None:
        """Forget what lies before a sample, as far as it was sent."""
        forgotten = min(sample, self.next) - self._start
        if forgotten > 0:
            del self._data[: forgotten * self.bytes_per_sample]
            self._start += forgotten

    def rewind(self, sample: int) -> bool:
        """Send again from a sample on; False where that is forgotten already, or was never there."""
        if not self._start <= sample <= self.end:
            return False
        self.next = sample
        return True
