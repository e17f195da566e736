"""When the next batch starts and which streams are in it: the engine's policy, as plain functions of times.

A batch costs far less than its streams one by one, so a ready chunk waits for others. It never waits so long
that the batch would miss the deadline.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

# A batch may take this much longer than expected, as some do: the deadline holds for 99 of 100 chunks.
_MARGIN = 1.5
# Audio that comes faster than real time may claim this many segments in a segment's time.
_MAX_PACE = 1.25


@dataclass(slots=True)
class ChunkClock:
    """When the chunks of one stream are due to be decoded, seconds.

    A chunk is due when its last sample has come, but not much sooner than a segment after the chunk before.
    A recording sent at once is therefore decoded as fast as there is room, but has no priority over live speech.

    Attributes:
        period: length of a segment, seconds.
        waiting: when each chunk that is not decoded yet is due.
    """

    period: float
    waiting: deque[float] = field(default_factory=deque)
    _last: float = -math.inf

    def arrived(self, now: float) -> None:
        """Add a complete chunk."""
        self._last = max(now, self._last + self.period / _MAX_PACE)
        self.waiting.append(self._last)


class Ready(Protocol):
    """A stream with something to decode."""

    @property
    def ready_since(self) -> float:
        """When its next chunk could have been decoded first."""

    @property
    def due(self) -> float:
        """When its next chunk is due, see `ChunkClock`."""


ReadyStream = TypeVar("ReadyStream", bound=Ready)


def start_time(ready: Iterable[Ready], max_wait: float, deadline: float, batch_seconds: float) -> float:
    """When the next batch must start at the latest.

    Args:
        ready: streams that would be in it.
        max_wait: seconds for which a chunk waits for others at the most.
        deadline: seconds from a complete chunk to its result.
        batch_seconds: expected seconds of the batch.
    """
    slack = deadline - _MARGIN * batch_seconds
    return min((min(stream.ready_since + max_wait, stream.due + slack) for stream in ready), default=math.inf)


def choose(ready: Sequence[ReadyStream], max_batch: int) -> list[ReadyStream]:
    """The streams of the next batch: those due first. No stream starves, since a waiting chunk stays due."""
    return sorted(ready, key=lambda stream: stream.due)[:max_batch]
