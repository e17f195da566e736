"""Events on their way to a client, which may be slow."""

import asyncio
from collections import deque

from emf.serve.session.events import Ended, Event, Failed, FailureCode, Final, Kept, Partial, Saved, StableGrew

_MOST_EVENTS = 2_000
"""That nobody took: a client that reads nothing for so long is given up."""


class Outbox:
    """A bounded queue of events for one reader, in one event loop.

    A newer partial replaces an unread one of its segment, and so does the final. `StableGrew` is made when a partial or
    a final is read, so that it always joins what was read before.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._told: dict[int, tuple[int, int]] = {}
        """Segment, and length of its stable text, that the reader was told of each channel last."""

    @property
    def has_ended(self) -> bool:
        """Whether the last event is there."""
        return self._ended

    @property
    def is_empty(self) -> bool:
        """Whether `take` would wait, or the end was read."""
        return not self._events

    def put(self, event: Event) -> None:
        """Add an event. After the last one, nothing is added any more."""
        if self._ended:
            return
        self._drop_outdated(event)
        self._events.append(event)
        if isinstance(event, Ended | Failed):
            self._ended = True
        elif len(self._events) > _MOST_EVENTS:
            self._events.clear()
            self.put(Failed(FailureCode.SLOW_CLIENT, "expected a client that reads what it is sent; it reads nothing"))
        self._changed.set()

    def _drop_outdated(self, event: Event) -> None:
        match event:
            case Partial() | Final():
                outdated = next((e for e in self._events if _is_replaced(e, event)), None)
            case Kept() | Saved():
                outdated = next((e for e in self._events if type(e) is type(event)), None)
            case _:
                return
        if outdated is not None:
            self._events.remove(outdated)

    async def take(self) -> Event | None:
        """The next event; `None` after the last."""
        while not self._events:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        event = self._events[0]
        if isinstance(event, Partial | Final) and (growth := self._growth(event)):
            return growth
        return self._events.popleft()

    def _growth(self, event: Partial | Final) -> StableGrew | None:
        segment, length = self._told.get(event.channel, (-1, 0))
        known = length if segment == event.segment else 0
        stable = event.passage.stable_text
        self._told[event.channel] = event.segment, max(known, len(stable))
        if len(stable) <= known:
            return None
        return StableGrew(event.channel, event.segment, stable[known:], known > 0 or event.passage.continues)


def _is_replaced(old: Event, new: Partial | Final) -> bool:
    return isinstance(old, Partial) and (old.channel, old.segment) == (new.channel, new.segment)
