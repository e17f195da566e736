"""Whoever measures sessions."""

from typing import Protocol


class SessionObserver(Protocol):
    """Is told what happens in all sessions, in seconds."""

    def lag(self, seconds: float) -> None:
        """Audio's arrival to its text."""

    def final(self, seconds: float) -> None:
        """End of the audio to the last text."""

    def failed(self, code: str) -> None:
        """A session failed; see `FailureCode`."""
