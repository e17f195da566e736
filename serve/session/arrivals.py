"""When the audio of a session arrived, to tell how far its text lags behind."""

import time
from bisect import bisect_left


class Arrivals:
    """Moments of arrival by the position of the audio, in seconds."""

    def __init__(self) -> None:
        self._ends: list[float] = []
        self._times: list[float] = []

    def add(self, end: float) -> None:
        """Audio up to `end` has arrived now."""
        self._ends.append(end)
        self._times.append(time.monotonic())

    def lag_ms(self, end: float) -> float:
        """Milliseconds since the audio up to `end` was there; 0 where that is not known any more."""
        place = bisect_left(self._ends, end - 1e-6)
        return 1e3 * (time.monotonic() - self._times[place]) if place < len(self._times) else 0.0

    def forget(self, end: float) -> None:
        """Forget what lies before `end`, now and then."""
        place = bisect_left(self._ends, end - 1e-6)
        if place > 256:
            del self._ends[:place], self._times[:place]
