"""A session of the own protocol, which may outlive its connection."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from secrets import token_urlsafe

import msgspec

from emf.serve.native import messages
from emf.serve.native.record import Recorder
from emf.serve.session.events import (
    Complaint,
    Ended,
    Event,
    Failed,
    FailureCode,
    Final,
    Kept,
    Marked,
    Note,
    Partial,
    Passage,
    Saved,
)
from emf.serve.session.session import Session
from emf.serve.store.saved import SavedSession

_DIGITS = 3
_LAST_WRITE_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Conversation:
    """A session, and what of its answers a client must get even if a connection breaks.

    Attributes:
        session: decodes.
        admission: what ends with it: the place, and the account's quota.
        partials: whether the client wants results that are not final.
        id: names the session in logs.
        token: to come back with; whoever has it may take over the session.
        failure: how the session failed, if it did.
        ended: the last message is in the log.
        sender: writes the answers to the connection that it serves now.
        recorder: writes it down for other servers; `None` for nowhere.
        log: final results, and the last message.
        moved: another server goes on with it.
    """

    session: Session
    admission: ExitStack
    partials: bool
    id: str = field(default_factory=lambda: token_urlsafe(9))
    token: str = field(default_factory=lambda: token_urlsafe(32))
    recorder: Recorder | None = None
    log: list[str] = field(default_factory=list)
    moved: bool = field(default=False, init=False)
    failure: Failed | None = field(default=None, init=False)
    ended: bool = field(default=False, init=False)
    sender: asyncio.Task[None] | None = field(default=None, init=False)
    _kept: int = field(default=0, init=False)
    _decoded: int = field(default=0, init=False)
    _unwritten: tuple[SavedSession, list[str]] | None = field(default=None, init=False)
    _writing: asyncio.Task[None] | None = field(default=None, init=False)
    _shown: set[tuple[int, int]] = field(default_factory=set, init=False)

    @property
    def is_done(self) -> bool:
        """Whether all of its text came, or it failed by a fault of its own."""
        return self.ended and (self.failure is None or self.failure.code != FailureCode.RESTARTING)

    def started(self) -> messages.Started:
        """The answer to a connection's begin."""
        return messages.Started(self.id, self.token, self.session.rewind())

    async def answers(self, have: int, heard: Mapping[int, int]) -> AsyncIterator[str]:
        """All messages for the client, up to the last.

        Args:
            have: final results that the client got already, by an earlier connection.
            heard: last segment of each channel that it got to its end. Another server may have told it.
        """
        for text in self.log[have:]:
            yield text
        if self._kept and not self.ended:
            yield messages.encode(messages.Kept(self._kept))
        while not self.ended and (event := await self.session.take()) is not None:
            message = self._message(event)
            if message is None:
                continue
            text = messages.encode(message)
            if isinstance(event, Final | Ended | Failed):
                self.log.append(text)
            self.ended = isinstance(event, Ended | Failed)
            if not (isinstance(event, Partial | Final) and event.segment <= heard.get(event.channel, -1)):
                yield text

    async def stop_recording(self) -> None:
        """Write nothing down any more."""
        self._unwritten = None
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=_LAST_WRITE_SECONDS)

    def _record(self, session: SavedSession) -> None:
        """Write the conversation down, meanwhile; only the newest state counts."""
        self._unwritten = session, list(self.log)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self.recorder is not None and self._unwritten is not None:
            state, self._unwritten = self._unwritten, None
            if not await self.recorder.write(*state):
                self.moved = True
                self.session.fail(FailureCode.RESTARTING, "another connection goes on with the session")
                return
            self.session.note(None)  # the client may forget more

    def _message(self, event: Event) -> messages.ServerMessage | None:
        match event:
            case Partial(channel, segment, passage, lag):
                if not self.partials:
                    return None
                self._shown.add((channel, segment))
                return _result(channel, segment, passage, lag, False)
            case Final(channel, segment, passage, _, lag):
                shown = (channel, segment) in self._shown
                self._shown.discard((channel, segment))
                return _result(channel, segment, passage, lag, True) if shown or passage.text else None
            case Kept(samples):
                self._decoded = samples
                return self._keep()
            case Saved(session):
                self._record(session)
                return None
            case Note():
                return self._keep()
            case Marked(name) if isinstance(name, msgspec.Raw):
                return messages.Marked(name)
            case Complaint(code, message):
                return messages.Error(code, message)
            case Ended(texts):
                return messages.Done("\n".join(texts), list(texts))
            case Failed(code, message, retry_after):
                self.failure = event
                return messages.Error(code, message, retry_after)
            case _:
                return None

    def _keep(self) -> messages.Kept | None:
        """What the client may forget now: what is decoded, and written down where that is asked for."""
        kept = self._decoded if self.recorder is None else min(self._decoded, self.recorder.frames)
        if kept <= self._kept:
            return None
        self._kept = kept
        return messages.Kept(kept)


def _result(channel: int, segment: int, passage: Passage, lag: float, final: bool) -> messages.Result:
    stable = passage.text if final else passage.stable_text
    words = [
        messages.WordTiming(w.word, round(w.start, _DIGITS), round(w.end, _DIGITS), round(w.confidence, _DIGITS))
        for w in passage.words
    ]
    return messages.Result(
        segment=segment,
        channel=channel,
        start=round(passage.start, _DIGITS),
        end=round(passage.end, _DIGITS),
        stable=stable,
        unstable=passage.text[len(stable) :],
        words=words,
        is_final=final,
        lag_ms=round(lag, 1),
    )
