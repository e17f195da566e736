"""Whoever measures workers."""

from typing import Protocol


class PoolObserver(Protocol):
    """Is told what happens to workers and to the streams that they decode."""

    def worker_ready(self, seconds: float) -> None:
        """A worker takes streams, so many seconds after it was begun."""

    def worker_lost(self, how: str) -> None:
        """A worker was lost; see `Loss`."""

    def stream_moved(self, why: str, pause: float) -> None:
        """A stream went on elsewhere (`lost` or `wished`) and said nothing for so many seconds."""

    def stream_blamed(self) -> None:
        """A stream was ended because its workers were lost again and again."""


class Unobserved:
    """Nobody measures."""

    def worker_ready(self, seconds: float) -> None:
        """See `PoolObserver`."""

    def worker_lost(self, how: str) -> None:
        """See `PoolObserver`."""

    def stream_moved(self, why: str, pause: float) -> None:
        """See `PoolObserver`."""

    def stream_blamed(self) -> None:
        """See `PoolObserver`."""
