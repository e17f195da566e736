"""Audio that a stream's snapshot does not hold: it is sent again when the stream goes on elsewhere."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple


class Piece(NamedTuple):
    """A piece of mono audio.

    Attributes:
        sample_rate: in Hz.
        samples: float32, little-endian.
        seconds: its length.
    """

    sample_rate: int
    samples: bytes
    seconds: float


class AudioSince:
    """Pieces in their order, and how many of them the worker has taken.

    Attributes:
        seconds: of all of them.
        untaken: seconds of those that the worker has not taken, as far as is known.
    """

    def __init__(self) -> None:
        self.seconds = self.untaken = 0.0
        self._pieces: deque[Piece] = deque()
        self._forgotten = self._taken = 0
        """Since `restart`."""

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)

    @property
    def sent(self) -> int:
        """Pieces since `restart`."""
        return self._forgotten + len(self._pieces)

    def append(self, piece: Piece) -> None:
        """Add audio."""
        self._pieces.append(piece)
        self.seconds += piece.seconds
        self.untaken += piece.seconds

    def restart(self) -> None:
        """All of it will be sent to another worker."""
        self._forgotten = self._taken = 0
        self.untaken = self.seconds

    def taken(self, count: int) -> None:
        """The worker has taken so many pieces since `restart`."""
        while self._taken < min(count, self.sent):
            self.untaken -= self._pieces[self._taken - self._forgotten].seconds
            self._taken += 1

    def forget(self, count: int) -> None:
        """A snapshot holds the first `count` pieces: the worker has taken them."""
        self.taken(self._forgotten + count)
        for _ in range(count):
            self.seconds -= self._pieces.popleft().seconds
        self._forgotten += count
        if not self._pieces:
            self.seconds = self.untaken = 0.0
