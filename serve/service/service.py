"""What all protocols of one server share: the pool, the gate, the sessions that live."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from emf.serve.access.gate import Admission, Gate
from emf.serve.pool.stream_pool import StreamPool
from emf.serve.service.counters import Counters
from emf.serve.session.events import FailureCode
from emf.serve.session.limits import SessionLimits
from emf.serve.session.session import Session
from emf.serve.session.settings import SessionSettings
from emf.serve.store.saved import SavedSession
from emf.serve.store.session_store import SessionStore

_WIND_UP_SHARE = 0.25
_WIND_UP_SECONDS = 3.0
_POLL_SECONDS = 0.05
_RESTARTING = "the server ends; connect again"


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Limits of connections; times in seconds.

    Attributes:
        start_timeout: from the upgrade to the message that begins a session.
        resume_window: how long a session whose connection was lost waits for the client to come back.
        max_upload: bytes of a request with a sound file.
        saved_every: seconds of audio after which a session is written down again, where there is a store.
    """

    start_timeout: float = 10.0
    resume_window: float = 30.0
    max_upload: int = 256 * 2**20
    saved_every: float = 5.0

    @property
    def keep_record(self) -> float:
        """Seconds for which a store keeps a session that its server has left."""
        return max(2.0 * self.resume_window, 60.0)


@dataclass(slots=True)
class Service:
    """One server, in one event loop.

    Attributes:
        pool: decodes.
        gate: admits connections.
        counters: of this server.
        session_limits: of every session.
        limits: of every connection.
        sessions: those that live, and the protocol of each.
        store: where sessions are written down for other servers; `None` for nowhere.
        before_drain: called when the server begins to end.
    """

    pool: StreamPool
    gate: Gate
    counters: Counters
    session_limits: SessionLimits = field(default_factory=SessionLimits)
    limits: ServiceLimits = field(default_factory=ServiceLimits)
    store: SessionStore | None = None
    sessions: dict[Session, str] = field(default_factory=dict, init=False)
    before_drain: list[Callable[[], None]] = field(default_factory=list, init=False)

    def open_session(
        self, protocol: str, admission: Admission, settings: SessionSettings, saved: SavedSession | None = None
    ) -> Session:
        """Begin a session for an admitted connection, or go on with one. The caller ends it with `close_session`."""
        session = Session(self.pool, admission.place, settings, self.session_limits, self.counters, saved)
        self.sessions[session] = protocol
        self.counters.session_began(protocol)
        return session

    async def close_session(self, session: Session) -> None:
        """End a session, whatever it is doing; its streams are free afterwards. Once is enough."""
        protocol = self.sessions.pop(session, None)
        if protocol is not None:
            self.counters.session_ended(protocol, session.audio_seconds)
        await session.close()

    async def drain(self, seconds: float) -> None:
        """Admit nobody any more, let sessions end by themselves, then end those that are left.

        Args:
            seconds: until all sessions have ended. Towards the end those left are ended with all their text.
        """
        self.gate.draining = True
        for hook in self.before_drain:
            hook()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        wind_up = end - min(_WIND_UP_SHARE * seconds, _WIND_UP_SECONDS)
        while self.sessions and loop.time() < end:
            for session in list(self.sessions):
                if session.is_silent or (session.is_written_down and loop.time() >= wind_up):
                    session.fail(FailureCode.RESTARTING, _RESTARTING, 1.0)
                elif loop.time() >= wind_up:
                    session.end(FailureCode.RESTARTING, _RESTARTING, 1.0)
            await asyncio.sleep(_POLL_SECONDS)
        for session in list(self.sessions):
            session.fail(FailureCode.RESTARTING, _RESTARTING, 1.0)

    async def close(self) -> None:
        """End all sessions and the pool."""
        for session in list(self.sessions):
            await self.close_session(session)
        await self.pool.close()
        if self.store is not None:
            await self.store.close()
