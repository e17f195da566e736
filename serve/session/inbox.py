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
        """Give audio in pieces of at most `longest` bytes, however it came."""
        self.size = self.requests = 0
        self._longest = longest
        self._items: deque[Item] = deque()
        self._due = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_due(self) -> bool:
        """Whether `take` would not wait."""
        return self._due.is_set()

    def put(self, item: Item, hold: bool = False) -> None:
        """Add audio or a request. The reader gets nothing before `release` of what it is to `hold`."""
        if isinstance(item, bytes):
            self.size += len(item)
            self._items.extend(item[at : at + self._longest] for at in range(0, len(item), self._longest))
        else:
            self.requests += 1
            self._items.append(item)
        if not hold:
            self.release()

    def release(self) -> None:
        """Give the reader all that is there."""
        if self._items:
            self._due.set()

    async def take(self) -> Item:
        """The next piece of audio or request."""
        await self._due.wait()
        item = self._items.popleft()
        if isinstance(item, bytes):
            item = self._joined(item)
            self.size -= len(item)
        else:
            self.requests -= 1
        if not self._items:
            self._due.clear()
        return item

    def _joined(self, first: bytes) -> bytes:
        """A piece and those behind it, as far as they are not too long together."""
        pieces, size = [first], len(first)
        while self._items and isinstance(piece := self._items[0], bytes) and size + len(piece) <= self._longest:
            pieces.append(piece)
            size += len(piece)
            self._items.popleft()
        return b"".join(pieces) if len(pieces) > 1 else first
