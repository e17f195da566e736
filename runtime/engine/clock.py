"""The engine's view of time, which tests replace."""

import time
from threading import Condition
from typing import Protocol


class Clock(Protocol):
    """A clock that only goes forward, and a way to wait by it."""

    def now(self) -> float:
        """Seconds since some moment."""

    def wait(self, condition: Condition, seconds: float | None) -> None:
        """Wait on `condition`, held by the caller, for at most `seconds`. It may return early."""


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def wait(self, condition: Condition, seconds: float | None) -> None:
        """See `Clock`."""
        condition.wait(seconds)
