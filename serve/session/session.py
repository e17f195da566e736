"""One connection's speech: audio in, events out. Knows no protocol."""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from emf.runtime.errors import AudioError, Overloaded, UsageError
from emf.serve.pool.places import Place
from emf.serve.pool.stream_pool import NO_WISHES, StreamPool, StreamWishes
from emf.serve.session.arrivals import Arrivals
from emf.serve.session.audio_decoder import AudioDecoder
from emf.serve.session.audio_format import AudioFormat
from emf.serve.session.events import Complaint, Ended, Event, Failed, FailureCode, Flushed, Kept, Marked
from emf.serve.session.inbox import Change, Finish, Flush, Inbox, Item, Mark, Request, Rewind
from emf.serve.session.limits import SessionLimits
from emf.serve.session.outbox import Outbox
from emf.serve.session.track import Track

_LOGGER = logging.getLogger(__name__)
_PIECE_SECONDS = 0.5
"""Audio that comes at once is decoded in pieces of this length: other sessions get their turn in between."""
_RETRY_AFTER = 2.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How a session decodes its audio."""

    form: AudioFormat = field(default_factory=AudioFormat)
    wishes: StreamWishes = NO_WISHES


class Session:
    """One connection's audio on its way to events. It belongs to one event loop.

    `feed`, `mark`, `flush` and `finish` return at once and take effect in their order, however far decoding lags: a
    connection never stops reading its socket. `take` gives the events, however slowly the client reads.

    Attributes:
        received: samples (of each channel) that arrived.
    """

    def __init__(self, pool: StreamPool, place: Place, settings: SessionSettings, limits: SessionLimits) -> None:
        """Begin, without a stream.

        Args:
            pool: decodes.
            place: the promise of streams, which the session gives back.
            settings: of this session.
            limits: of all sessions.
        """
        self._form, self._limits, self._place = settings.form, limits, place
        self._decoder = AudioDecoder(self._form)
        self._byte_rate = self._form.bytes_per_frame * self._form.sample_rate
        self._inbox = Inbox(max(int(_PIECE_SECONDS * self._form.sample_rate), 1) * self._form.bytes_per_frame)
        self._outbox, self._arrivals = Outbox(), Arrivals()
        self._tracks = [
            Track(
                channel,
                self._form.sample_rate,
                pool,
                settings.wishes,
                self._arrivals,
                self._outbox.put,
                self._note_decoded,
            )
            for channel in range(self._form.num_streams)
        ]
        self.received = self._kept = 0
        self._bytes = 0
        self._finished = False
        self._marks: deque[tuple[int, object]] = deque()
        self._waiting = 0
        self._begun_at = self._touched_at = self._heard_at = time.monotonic()
        self._task = asyncio.create_task(self._work())

    # The connection's side

    def feed(self, data: bytes) -> None:
        """Add audio in the session's format, cut anywhere. Too much of it fails the session."""
        self.touch()
        if self._finished or not data:
            return
        self._bytes += len(data)
        self.received = self._bytes // self._form.bytes_per_frame
        if self._inbox.size + len(data) > self._limits.max_backlog * self._byte_rate:
            most = f"at most {self._limits.max_backlog:g} seconds of audio that wait to be decoded"
            self.fail(FailureCode.BACKLOG, f"expected {most}, found more; send it no faster than `kept` says")
            return
        self._arrivals.add(self.received / self._form.sample_rate)
        self._inbox.put(data)

    def mark(self, name: object) -> None:
        """Ask for `Marked(name)` as soon as all audio up to here is decoded.

        The last part of the audio waits for what follows it: more audio, `flush`, `finish` or a long silence.
        """
        self._request(Mark(name))

    def flush(self, name: object = None) -> None:
        """Ask for the finals of all audio up to here, then `Flushed(name)`. Audio behind begins anew."""
        self._request(Flush(name))

    def change(self, wishes: StreamWishes) -> None:
        """Decode what follows by other wishes. What came before gets its finals, as by `flush`."""
        self._request(Change(wishes))

    async def room(self, seconds: float = 10.0) -> None:
        """Wait until less than so much audio waits to be decoded, or the session has ended.

        For audio that is there at once, such as an upload. A connection that reads a WebSocket must not wait.
        """
        while self._inbox.size > seconds * self._byte_rate and not self._task.done():
            await asyncio.sleep(_POLL_SECONDS)

    def finish(self) -> None:
        """Declare the audio complete: finals come, then `Ended`."""
        if not self._finished:
            self._finished = True
            self._request(Finish())

    def touch(self) -> None:
        """Note that the client is there, though it sends no audio."""
        self._touched_at = time.monotonic()

    def complain(self, code: str, message: str) -> None:
        """Put a `Complaint` among the events; the session goes on."""
        self.touch()
        self._outbox.put(Complaint(code, message))

    async def take(self) -> Event | None:
        """The next event; `None` after the last, which is `Ended` or `Failed`."""
        return await self._outbox.take()

    def fail(self, code: str, message: str, retry_after: float | None = None) -> None:
        """End the session with `Failed`, unless it has ended."""
        self._outbox.put(Failed(code, message, retry_after))
        self._task.cancel()

    def end(self, code: str, message: str, retry_after: float | None = None) -> None:
        """As `fail`, but all audio that came is decoded before, and its finals come."""
        if not self._finished:
            self._finished = True
            self._inbox.put(Finish(Failed(code, message, retry_after)))

    async def close(self) -> None:
        """End the session, whatever it is doing; the streams are free afterwards."""
        self._task.cancel()
        await asyncio.wait([self._task])

    @property
    def audio_seconds(self) -> float:
        """Length of the audio that came."""
        return self.received / self._form.sample_rate

    @property
    def is_silent(self) -> bool:
        """Whether no audio of it is decoded now, or waits: it could end without loss."""
        return not self._inbox and not self._finished and not any(track.is_open for track in self._tracks)

    def rewind(self) -> int:
        """Forget a sample that came in part only. Return the number of the sample that should come next."""
        rest = self._bytes % self._form.bytes_per_frame
        if rest:
            self._request(Rewind())
            self._bytes -= rest
        return self.received

    def _request(self, request: Request) -> None:
        self.touch()
        self._waiting += 1
        if self._waiting > self._limits.most_marks:
            self.fail(FailureCode.BACKLOG, f"expected at most {self._limits.most_marks} open requests; await answers")
            return
        self._inbox.put(request)

    # The worker's side

    async def _work(self) -> None:
        try:
            while not isinstance(item := await self._next(), Finish):
                await self._handle(item)
            await self._flush()
            self._outbox.put(item.failure or Ended(tuple(track.text for track in self._tracks)))
        except Overloaded as error:
            self._outbox.put(Failed(FailureCode.OVERLOADED, str(error), _RETRY_AFTER))
        except AudioError as error:
            self._outbox.put(Failed(FailureCode.BAD_AUDIO, str(error)))
        except UsageError as error:
            self._outbox.put(Failed(FailureCode.BAD_REQUEST, str(error)))
        except Exception:
            _LOGGER.exception("a session failed")
            self._outbox.put(Failed(FailureCode.INTERNAL, "the stream failed; begin another"))
        finally:
            self._place.give_back()
            for track in self._tracks:
                await track.close()

    async def _handle(self, item: Item) -> None:
        if isinstance(item, bytes):
            await self._decode(item)
            return
        self._waiting -= 1
        match item:
            case Mark(name):
                self._waiting += 1
                self._marks.append((round(self._tracks[0].fed * self._form.sample_rate), name))
                self._note_decoded()
            case Flush(name):
                await self._flush()
                self._outbox.put(Flushed(name))
            case Change(wishes):
                await self._flush()
                for track in self._tracks:
                    track.wishes = wishes
            case Rewind():
                self._decoder = AudioDecoder(self._form)

    async def _next(self) -> Item:
        """The next item; meanwhile, the silence has its consequences."""
        while True:
            if self._inbox:
                self._heard_at = time.monotonic()
                return await self._inbox.take()
            try:
                async with asyncio.timeout(self._patience()):
                    return await self._inbox.take()
            except TimeoutError:
                await self._endure()

    def _patience(self) -> float:
        """Seconds to the next consequence of silence."""
        now, limits = time.monotonic(), self._limits
        moments = [self._touched_at + limits.idle_timeout, self._begun_at + limits.max_session]
        if any(track.is_open for track in self._tracks) or self._place.count:
            moments.append(self._heard_at + limits.park_after)
        elif any(track.is_parked for track in self._tracks):
            moments.append(self._heard_at + limits.flush_after)
        return max(min(moments) - now, 0.05)

    async def _endure(self) -> None:
        """What a silence brings about, when its time has come."""
        now, limits = time.monotonic(), self._limits
        if now >= self._begun_at + limits.max_session:
            self.end(
                FailureCode.TOO_LONG, f"expected a session of at most {limits.max_session:g} seconds; begin another"
            )
        elif now >= self._touched_at + limits.idle_timeout:
            self.end(FailureCode.IDLE, f"no message came for {limits.idle_timeout:g} seconds; begin another session")
        elif now >= self._heard_at + limits.flush_after or (self._marks and now >= self._heard_at + limits.park_after):
            await self._flush_in_silence()
        elif now >= self._heard_at + limits.park_after and all(track.is_idle for track in self._tracks):
            for track in self._tracks:
                await track.park()
            self._place.give_back()

    async def _flush_in_silence(self) -> None:
        try:
            await self._flush()
            self._place.give_back()
        except Overloaded:  # no hurry
            self._heard_at = time.monotonic()

    async def _decode(self, data: bytes) -> None:
        samples = self._decoder.decode(data)
        if time.monotonic() >= self._begun_at + self._limits.max_session:
            await self._endure()
        if not len(samples):
            return
        self._claim_place()
        if not self._form.separate:
            await self._tracks[0].feed(np.ascontiguousarray(samples.mean(axis=1)))
            return
        for track, channel in zip(self._tracks, samples.T, strict=True):
            await track.feed(np.ascontiguousarray(channel))

    def _claim_place(self) -> None:
        missing = self._form.num_streams - self._place.count
        if missing > 0:
            self._place.more(missing)

    async def _flush(self) -> None:
        if any(track.is_parked for track in self._tracks):
            self._claim_place()
        for track in self._tracks:
            await track.flush()
        self._note_decoded(everything=True)

    def _note_decoded(self, everything: bool = False) -> None:
        """Answer marks, and say what the client may forget."""
        decoded = min(track.decoded for track in self._tracks)
        samples = round(decoded * self._form.sample_rate)
        while self._marks and (everything or self._marks[0][0] <= samples):
            self._waiting -= 1
            self._outbox.put(Marked(self._marks.popleft()[1]))
        if samples - self._kept >= self._form.sample_rate or (everything and samples > self._kept):
            self._kept = samples
            self._outbox.put(Kept(samples))
        self._arrivals.forget(decoded)
