"""What a session does when nothing comes: it gives its streams back, then their state, then up."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from emf.serve.session.limits import SessionLimits


class Consequence(Enum):
    """What is due."""

    TOO_LONG = auto()  # the session ends
    IDLE = auto()  # the session ends
    FLUSH = auto()  # finals come, nothing is held any more
    PARK = auto()  # the streams are given back, their state is kept


@dataclass(slots=True)
class Silence:
    """When something happened last, and what follows from it; times in seconds of one clock.

    Attributes:
        limits: of the session.
        begun_at: the session's begin.
        touched_at: the last message.
        heard_at: the last audio or request that was taken up.
    """

    limits: SessionLimits
    begun_at: float
    touched_at: float
    heard_at: float

    def excuse(self, now: float) -> None:
        """Count the silence from now on: before, nobody could be heard."""
        self.touched_at = self.heard_at = now

    def _dates(self, holds_streams: bool, holds_state: bool, is_asked: bool) -> Iterator[tuple[float, Consequence]]:
        yield self.begun_at + self.limits.max_session, Consequence.TOO_LONG
        yield self.touched_at + self.limits.idle_timeout, Consequence.IDLE
        if holds_streams or holds_state:
            after = self.limits.park_after if is_asked else self.limits.flush_after
            yield self.heard_at + after, Consequence.FLUSH
        if holds_streams:
            yield self.heard_at + self.limits.park_after, Consequence.PARK

    def next(self, now: float, holds_streams: bool, holds_state: bool, is_asked: bool) -> tuple[float, Consequence]:
        """Seconds to the next consequence, and which it is; those overdue come first, the weightiest before others.

        Args:
            now: the time.
            holds_streams: of the pool, or the promise of some.
            holds_state: of streams that were given back.
            is_asked: a mark waits for audio to be decoded.
        """
        dates = list(self._dates(holds_streams, holds_state, is_asked))
        overdue = [date for date in dates if date[0] <= now]
        moment, consequence = overdue[0] if overdue else min(dates, key=lambda date: date[0])
        return max(moment - now, 0.0), consequence
