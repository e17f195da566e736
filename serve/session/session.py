"""One connection's speech: audio in, events out. Knows no protocol."""

import asyncio
import time

from emf.serve.pool.places import Place
from emf.serve.pool.stream_pool import StreamPool, StreamWishes
from emf.serve.session.arrivals import Arrivals
from emf.serve.session.audio_format import AudioFormat
from emf.serve.session.events import Complaint, Ended, Event, Failed, FailureCode, Final, Note, Partial
from emf.serve.session.inbox import Change, Finish, Flush, Inbox, Mark, Request, Rewind, Settle
from emf.serve.session.limits import SessionLimits
from emf.serve.session.observer import SessionObserver
from emf.serve.session.outbox import Outbox
from emf.serve.session.settings import SessionSettings
from emf.serve.session.silence import Silence
from emf.serve.session.worker import Worker
from emf.serve.store.saved import SavedSession

_PIECE_SECONDS = 0.5
"""Audio that comes at once is decoded in pieces of this length: other sessions get their turn in between."""
_POLL_SECONDS = 0.02
_ROUNDING = 1e-6
"""Seconds, far less than a sample."""


class Session:
    """One connection's audio on its way to events. It belongs to one event loop.

    `feed`, `mark`, `flush` and `finish` return at once and take effect in their order, however far decoding lags: a
    connection never stops reading its socket. `take` gives the events, however slowly the client reads.

    Attributes:
        received: samples (of each channel) that arrived, in the format that the audio has now.
        is_written_down: another server can go on with it.
    """

    def __init__(
        self,
        pool: StreamPool,
        place: Place,
        settings: SessionSettings,
        limits: SessionLimits,
        observer: SessionObserver,
        saved: SavedSession | None = None,
    ) -> None:
        """Begin, without a stream.

        Args:
            pool: decodes.
            place: the promise of streams, which the session gives back.
            settings: of this session.
            limits: of all sessions.
            observer: measures.
            saved: what to go on with; `None` begins anew.
        """
        self._observer, self._form, self._limits = observer, settings.form, limits
        self.is_written_down = settings.saved_every is not None
        self._inbox = Inbox(max(int(_PIECE_SECONDS * self._form.sample_rate), 1) * self._form.bytes_per_frame)
        self._outbox, self._arrivals = Outbox(), Arrivals()
        self.received = self._bytes = 0
        self._seconds_before = 0.0
        """Audio that came in another format."""
        self._finished_at: float | None = None
        now = time.monotonic()
        self._silence = Silence(limits, now, now, now)
        self._worker = Worker(pool, place, settings, self._silence, self._inbox, self._arrivals, self._put)
        if saved is not None:
            self.received, self._bytes = saved.frames, saved.frames * self._form.bytes_per_frame
            self._worker.restore(saved)
        self._task = asyncio.create_task(self._worker.run())

    # The connection's side

    def feed(self, data: bytes) -> None:
        """Add audio in the session's format, cut anywhere. Too much of it fails the session."""
        self.touch()
        if self._is_over or not data:
            return
        self._bytes += len(data)
        self.received = self._bytes // self._form.bytes_per_frame
        if self._inbox.size + len(data) > self._limits.max_backlog * self._form.byte_rate:
            most = f"at most {self._limits.max_backlog:g} seconds of audio that wait to be decoded"
            self.fail(FailureCode.BACKLOG, f"expected {most}, found more; send it no faster than `kept` says")
            return
        self._arrivals.add(self.audio_seconds)
        self._inbox.put(data, hold=True)
        if self._inbox.size >= (self._worker.missing - _ROUNDING) * self._form.byte_rate:
            self._inbox.release()
        else:  # nothing of it can be decoded yet
            self._silence.heard_at = self._silence.touched_at

    def mark(self, name: object) -> None:
        """Ask for `Marked(name)` as soon as all audio up to here is decoded.

        The last part of the audio waits for what follows it: more audio, `flush`, `finish` or a long silence.
        """
        self._request(Mark(name))

    def flush(self, name: object = None) -> None:
        """Ask for the finals of all audio up to here, then `Flushed(name)`. Audio behind begins anew."""
        self._request(Flush(name))

    def settle(self, name: object = None) -> None:
        """Ask for `Settled(name)` as soon as nothing is left to decode up to here before more audio comes."""
        self._request(Settle(name))

    def change(self, wishes: StreamWishes, form: AudioFormat | None = None) -> None:
        """Decode what follows by other wishes. What came before gets its finals, as by `flush`.

        Args:
            wishes: for what follows.
            form: of the audio that follows, with as many transcribed channels as before; `None` leaves it.
        """
        self._request(Change(wishes, form))
        if form is not None:
            self._seconds_before = self.audio_seconds
            self.received = self._bytes = 0
            self._form = form

    async def room(self, seconds: float = 10.0) -> None:
        """Wait until less than so much audio waits to be decoded, or the session has ended.

        For audio that is there at once, such as an upload. A connection that reads a WebSocket must not wait.
        """
        while self._inbox.size > seconds * self._form.byte_rate and not self._task.done():
            await asyncio.sleep(_POLL_SECONDS)

    def finish(self) -> None:
        """Declare the audio complete: finals come, then `Ended`."""
        if not self._is_over:
            self._finished_at = time.monotonic()
            self._inbox.put(Finish())

    def touch(self) -> None:
        """Note that the client is there, though it sends no audio."""
        self._silence.touched_at = time.monotonic()

    def complain(self, code: str, message: str) -> None:
        """Put a `Complaint` among the events; the session goes on."""
        self.touch()
        self._put(Complaint(code, message))

    def note(self, content: object) -> None:
        """Put a `Note` among the events."""
        self.touch()
        self._put(Note(content))

    async def take(self) -> Event | None:
        """The next event; `None` after the last, which is `Ended` or `Failed`."""
        return await self._outbox.take()

    def fail(self, code: str, message: str, retry_after: float | None = None) -> None:
        """End the session with `Failed`, unless it has ended."""
        self._put(Failed(code, message, retry_after))
        self._task.cancel()

    def end(self, code: str, message: str, retry_after: float | None = None) -> None:
        """As `fail`, but all audio that came is decoded before, and its finals come."""
        if not self._is_over:
            self._finished_at = time.monotonic()
            self._inbox.put(Finish(Failed(code, message, retry_after)))

    async def close(self) -> None:
        """End the session, whatever it is doing; the streams are free afterwards."""
        self._task.cancel()
        await asyncio.wait([self._task])

    @property
    def audio_seconds(self) -> float:
        """Length of the audio that came."""
        return self._seconds_before + self.received / self._form.sample_rate

    @property
    def is_silent(self) -> bool:
        """Whether no audio of it is decoded now, or waits: it could end without loss."""
        return not self._inbox and self._finished_at is None and not self._worker.is_decoding

    def rewind(self) -> int:
        """Forget a sample that came in part only. Return the number of the sample that should come next."""
        rest = self._bytes % self._form.bytes_per_frame
        if rest:
            self._request(Rewind())
            self._bytes -= rest
        return self.received

    def _request(self, request: Request) -> None:
        self.touch()
        if self._is_over:
            return
        if self._inbox.requests + len(self._worker.progress) > self._limits.most_marks:
            self.fail(FailureCode.BACKLOG, f"expected at most {self._limits.most_marks} open requests; await answers")
            return
        self._inbox.put(request)

    @property
    def _is_over(self) -> bool:
        """Whether nothing is taken any more: the audio is complete, or the session has failed."""
        return self._finished_at is not None or self._task.done()

    def _put(self, event: Event) -> None:
        if self._outbox.has_ended:
            return
        match event:
            case Partial(lag_ms=lag) | Final(lag_ms=lag):
                self._observer.lag(lag / 1e3)
            case Ended() if self._finished_at is not None:
                self._observer.final(time.monotonic() - self._finished_at)
            case Failed(code):
                self._observer.failed(code)
        self._outbox.put(event)
