"""A conversation as it is written down for another server."""

import asyncio
import logging
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from emf.serve.native.messages import Start
from emf.serve.store.saved import SavedSession
from emf.serve.store.session_store import Claim, SessionStore

_LOGGER = logging.getLogger(__name__)


class Record(Struct, frozen=True):
    """A conversation.

    Attributes:
        start: the client's first message.
        id: of the session.
        log: messages that the client must get, if it did not yet.
        session: decodes what follows.
    """

    start: Start
    id: str
    log: list[str]
    session: SavedSession


class Recorder:
    """Writes one conversation down. It belongs to one event loop.

    Attributes:
        frames: samples that the newest record holds.
    """

    def __init__(self, store: SessionStore, claim: Claim, start: Start, id: str) -> None:
        self._store, self._claim, self._start, self._id = store, claim, start, id
        self.frames = 0

    async def write(self, session: SavedSession, log: Sequence[str]) -> bool:
        """Write the conversation down. Return False where another server has taken it over.

        A store that cannot be reached is logged, and nothing else: the conversation goes on here.
        """
        record = msgspec.msgpack.encode(Record(self._start, self._id, list(log), session))
        try:
            if not await self._store.write(self._claim, record):
                return False
        except OSError as error:
            _LOGGER.error("a session cannot be written down: %s", error)
        else:
            self.frames = session.frames
        return True

    async def touch(self) -> None:
        """Keep the record for longer."""
        try:
            await self._store.touch(self._claim)
        except OSError as error:
            _LOGGER.error("a session's record cannot be kept: %s", error)

    async def forget(self) -> None:
        """The conversation has ended, and so has its token."""
        try:
            await asyncio.shield(self._store.forget(self._claim))
        except OSError as error:
            _LOGGER.error("a session's record cannot be removed: %s", error)


async def take(store: SessionStore, token: str) -> tuple[Claim, Record] | None:
    """Claim the conversation of a token; `None` where there is none."""
    try:
        found = await store.take(token)
        if found is None:
            return None
        claim, data = found
        return claim, msgspec.msgpack.decode(data, type=Record)
    except (OSError, msgspec.MsgspecError) as error:
        _LOGGER.error("a session's record cannot be read: %s", error)
        return None
