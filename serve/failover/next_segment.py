"""How much audio a stream needs before its worker can decode more."""

import math
from dataclasses import dataclass, field

_ROUNDING = 1e-6
"""Seconds, far less than a sample."""


@dataclass(slots=True)
class NextSegment:
    """Where in a stream's audio its next segment is complete, from what its worker told; all in seconds."""

    _came: float = field(default=0.0, init=False)
    _end: float | None = field(default=None, init=False)

    def add(self, seconds: float) -> None:
        """So much more audio is on its way to the worker."""
        self._came += seconds

    def told(self, untaken: float, missing: float) -> None:
        """But for the last `untaken` seconds, the worker has all of it, and `missing` until its next segment."""
        self._end = self._came - untaken + missing

    def missing(self, segment: float) -> float:
        """Audio until the next segment of this length is complete; 0 where nothing was told yet."""
        if self._end is None:
            return 0.0
        over = self._came + _ROUNDING - self._end
        if over >= 0.0:
            self._end += segment * (math.floor(over / segment) + 1)
        return self._end - self._came
