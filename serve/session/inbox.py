"""Audio and requests of a client on their way to the decoder, in their order."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from emf.serve.pool.stream_pool import StreamWishes
from emf.serve.session.audio_format import AudioFormat
from emf.serve.session.events import Failed


@dataclass(frozen=True, slots=True)
class Mark:
    """See `Session.mark`."""

    name: object


@dataclass(frozen=True, slots=True)
class Flush:
    """See `Session.flush`."""

    name: object


@dataclass(frozen=True, slots=True)
class Settle:
    """See `Session.settle`."""

    name: object


@dataclass(frozen=True, slots=True)
class Rewind:
    """See `Session.rewind`."""


@dataclass(frozen=True, slots=True)
class Change:
    """See `Session.change`."""

    wishes: StreamWishes
    form: AudioFormat | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """See `Session.finish` and `Session.end`.

    Attributes:
        failure: what the session ends with, in place of `Ended`.
    """

    failure: Failed | None = None


Request: TypeAlias = Mark | Flush | Settle | Rewind | Change | Finish
Item: TypeAlias = bytes | Request


class Inbox:
    """A queue for one reader, in one event loop. Its writer bounds it.

    Attributes:
        size: bytes of audio that wait.
        requests: that wait.
    """

    def __init__(self, longest: int) -> None:
        """Cut audio into pieces of at most `longest` bytes."""
        self.size = self.requests = 0
        self._longest = longest
        self._items: deque[Item] = deque()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Add audio or a request."""
        if isinstance(item, bytes):
            self.size += len(item)
            self._items.extend(item[at : at + self._longest] for at in range(0, len(item), self._longest))
        else:
            self.requests += 1
            self._items.append(item)
        self._changed.set()

    async def take(self) -> Item:
        """The next piece of audio or request."""
        while not self._items:
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        if isinstance(item, bytes):
            self.size -= len(item)
        else:
            self.requests -= 1
        return item
