"""What decodes a session's audio: takes it from the inbox in order, and gives its streams back in silences."""

import asyncio
import logging
import time
from collections.abc import Callable

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.errors import AudioError, Overloaded, UsageError
from emf.serve.pool.places import Place
from emf.serve.pool.stream_pool import StreamPool
from emf.serve.session.arrivals import Arrivals
from emf.serve.session.audio_decoder import AudioDecoder
from emf.serve.session.audio_format import AudioFormat
from emf.serve.session.events import Ended, Event, Failed, FailureCode, Flushed, Saved, Settled
from emf.serve.session.inbox import Change, Finish, Flush, Inbox, Item, Mark, Rewind, Settle
from emf.serve.session.progress import Progress
from emf.serve.session.settings import SessionSettings
from emf.serve.session.silence import Consequence, Silence
from emf.serve.session.track import Track
from emf.serve.store.saved import SavedSession

_LOGGER = logging.getLogger(__name__)
_RETRY_AFTER = 2.0
_SHORTEST_WAIT = 0.02
_STOOD_STILL = 1.0
"""Seconds that a wait lasts too long where the server itself did not run, and the client was not silent."""


class Worker:
    """Decodes one session.

    Attributes:
        progress: of its audio.
    """

    def __init__(
        self,
        pool: StreamPool,
        place: Place,
        settings: SessionSettings,
        silence: Silence,
        inbox: Inbox,
        arrivals: Arrivals,
        put: Callable[[Event], None],
    ) -> None:
        """Begin, without a stream; `put` gets the events."""
        self._place, self._form, self._silence = place, settings.form, silence
        self._inbox, self._arrivals, self._put = inbox, arrivals, put
        self._decoder = AudioDecoder(self._form)
        self._task: asyncio.Task[None] | None = None
        self._save_every = settings.saved_every
        self._frames = self._saved_frames = 0
        self._is_ending = False
        self.progress = Progress(self._form.sample_rate, settings.kept_every)
        self._tracks = [
            Track(channel, self._form.sample_rate, pool, settings.wishes, arrivals, put, self._note_decoded, self._fail)
            for channel in range(self._form.num_streams)
        ]

    @property
    def is_decoding(self) -> bool:
        """Whether it holds streams of the pool."""
        return any(track.is_open for track in self._tracks)

    @property
    def missing(self) -> float:
        """Seconds of audio that must come before more can be decoded; 0 where that is not known."""
        return min(track.missing for track in self._tracks)

    def restore(self, saved: SavedSession) -> None:
        """Go on with a state, before anything came."""
        self._frames = self._saved_frames = saved.frames
        for track, its in zip(self._tracks, saved.tracks, strict=True):
            track.restore(its)

    async def run(self) -> None:
        """Decode up to the end of the audio; the last event is `Ended` or `Failed`."""
        self._task = asyncio.current_task()
        try:
            if self._save_every is not None:
                await self._save()
            while not isinstance(item := await self._next(), Finish):
                await self._handle(item)
            await self._flush()
            self._put(item.failure or Ended(tuple(track.text for track in self._tracks)))
        except Overloaded as error:
            self._put(Failed(FailureCode.OVERLOADED, str(error), _RETRY_AFTER))
        except AudioError as error:
            self._put(Failed(FailureCode.BAD_AUDIO, str(error)))
        except UsageError as error:
            self._put(Failed(FailureCode.BAD_REQUEST, str(error)))
        except Exception as error:
            self._fail(error)
        finally:
            self._place.give_back()
            for track in self._tracks:
                await track.close()

    def _fail(self, error: Exception) -> None:
        _LOGGER.error("a session failed: %s", type(error).__name__, exc_info=error)
        self._put(Failed(FailureCode.INTERNAL, "the stream failed; begin another"))
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _handle(self, item: Item) -> None:
        if isinstance(item, bytes):
            await self._decode(item)
            due = self._saved_frames + (self._save_every or 0.0) * self._form.sample_rate
            if self._save_every is not None and self._frames >= due:
                await self._save()
            return
        match item:
            case Mark(name):
                self.progress.mark(self._tracks[0].fed, name)
                self._note_decoded()
            case Flush(name):
                await self._flush()
                self._put(Flushed(name))
            case Settle(name):
                for track in self._tracks:
                    await track.settle()
                self._put(Settled(name))
            case Change(wishes, form):
                await self._flush()
                for track in self._tracks:
                    track.wishes = wishes
                if form is not None:
                    self._take_form(form)
            case Rewind():
                self._decoder = AudioDecoder(self._form)

    async def _next(self) -> Item:
        """The next item; meanwhile, the silence has its consequences."""
        item: Item | None = None
        while item is None:
            patience, consequence = self._consequence()
            if patience <= 0.0 and consequence is Consequence.TOO_LONG:
                self._end_behind_audio()
            if self._inbox.is_due:
                item = await self._inbox.take()
                break
            wait, begin = max(patience, _SHORTEST_WAIT), time.monotonic()
            try:
                async with asyncio.timeout(wait):
                    item = await self._inbox.take()
            except TimeoutError:
                if (now := time.monotonic()) - begin > wait + _STOOD_STILL:
                    self._silence.excuse(now)
                patience, consequence = self._consequence()  # the client may have been heard of meanwhile
                if patience <= 0.0 and self._inbox:
                    self._inbox.release()  # what the silence brings comes behind audio that waits for more
                    return await self._inbox.take()
                if patience <= 0.0:
                    item = await self._endure(consequence)
        self._silence.heard_at = time.monotonic()
        return item

    def _end_behind_audio(self) -> None:
        """End a session that is too long behind all that came, however fast more comes."""
        if not self._is_ending:
            self._is_ending = True
            longest = self._silence.limits.max_session
            message = f"expected a session of at most {longest:g} seconds; begin another"
            self._inbox.put(Finish(Failed(FailureCode.TOO_LONG, message)))

    def _consequence(self) -> tuple[float, Consequence]:
        """The next consequence of silence, and the seconds to it."""
        holds_streams = bool(self._place.count) or self.is_decoding
        holds_state = any(track.is_parked for track in self._tracks)
        return self._silence.next(time.monotonic(), holds_streams, holds_state, bool(self.progress))

    async def _endure(self, consequence: Consequence) -> Finish | None:
        """Let a consequence happen; return the end, if that is what it is."""
        limits = self._silence.limits
        match consequence:
            case Consequence.IDLE:
                message = f"no message came for {limits.idle_timeout:g} seconds; begin another session"
                return Finish(Failed(FailureCode.IDLE, message))
            case Consequence.FLUSH:
                await self._flush_in_silence()
            case Consequence.PARK if all(track.is_idle for track in self._tracks):
                for track in self._tracks:
                    await track.park()
                self._place.give_back()
        return None

    async def _flush_in_silence(self) -> None:
        try:
            await self._flush()
            self._place.give_back()
        except Overloaded:  # no hurry
            self._silence.heard_at = time.monotonic()

    async def _decode(self, data: bytes) -> None:
        samples = self._decoder.decode(data)
        if not len(samples):
            return
        self._claim_place()
        self._frames += len(samples)
        if not self._form.separate:
            await self._tracks[0].feed(_mixed(samples))
            return
        for track, channel in zip(self._tracks, samples.T, strict=True):
            await track.feed(np.ascontiguousarray(channel))

    async def _save(self) -> None:
        tracks = [await track.saved() for track in self._tracks]
        self._saved_frames = self._frames
        self._put(Saved(SavedSession(self._frames, tracks)))

    def _take_form(self, form: AudioFormat) -> None:
        self._form, self._decoder = form, AudioDecoder(form)
        for track in self._tracks:
            track.sample_rate = form.sample_rate

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
        for event in self.progress.events(decoded, everything):
            self._put(event)
        self._arrivals.forget(decoded)


def _mixed(samples: FloatArray) -> FloatArray:
    """One channel of several, shape (frames,)."""
    if samples.shape[1] == 1:
        return samples[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):  # what is no number is refused where it is fed
        return np.ascontiguousarray(samples.mean(axis=1))
