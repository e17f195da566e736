"""Time, as far as an engine needs it, so that tests can bring their own."""

import time
from threading import Condition
from typing import Protocol


class Clock(Protocol):
    """A clock that only goes forward, and a way to wait by it."""

    def now(self) -> float:
        """Seconds since some moment."""

    def wait(self, condition: Condition, seconds: float | None) -> None:
        """Wait, holding `condition`, until it is notified or `seconds` have passed; it may also return early."""


class SystemClock:
    """The machine's own."""

    def now(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def wait(self, condition: Condition, seconds: float | None) -> None:
        """See `Clock`."""
        condition.wait(seconds)
