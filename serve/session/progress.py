"""What a client is told of how far its audio is decoded: marks, and what it may forget."""

from collections import deque
from collections.abc import Iterator

from emf.serve.session.events import Kept, Marked


class Progress:
    """Marks that wait for their audio, and the samples that are decoded."""

    def __init__(self, sample_rate: int, kept_every: float = 1.0) -> None:
        """`sample_rate` in Hz; `Kept` comes about once in `kept_every` seconds of audio."""
        self._sample_rate = sample_rate
        self._step = max(round(kept_every * sample_rate), 1)
        self._marks: deque[tuple[int, object]] = deque()
        self._kept = 0

    def __len__(self) -> int:
        """Marks that wait."""
        return len(self._marks)

    def mark(self, seconds: float, name: object) -> None:
        """Wait for the audio up to `seconds`."""
        self._marks.append((round(seconds * self._sample_rate), name))

    def events(self, decoded: float, everything: bool) -> Iterator[Marked | Kept]:
        """What is to be told now.

        Args:
            decoded: seconds that are decoded.
            everything: that is all the audio so far.
        """
        samples = round(decoded * self._sample_rate)
        while self._marks and (everything or self._marks[0][0] <= samples):
            yield Marked(self._marks.popleft()[1])
        if samples - self._kept >= self._step or (everything and samples > self._kept):
            self._kept = samples
            yield Kept(samples)
