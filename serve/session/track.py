"""One transcribed channel of a session: a chain of streams whose times and segments go on from one to the next."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from emf.runtime.arrays import FloatArray
from emf.runtime.errors import StreamClosed
from emf.runtime.recognition.result import Result
from emf.serve.pool.stream_pool import LiveStream, StreamPool, StreamWishes
from emf.serve.session.arrivals import Arrivals
from emf.serve.session.events import Endpoint, Event, Final, Partial, Passage, SpeechStarted
from emf.serve.store.saved import SavedTrack

_RETRY_SECONDS = 0.02
"""Between two looks for room in a full pool."""
_TURN_SECONDS = 0.001
"""For results that can be read to be told."""
_A_WORD = 8
"""Tokens that tell how a segment ended."""


class Track:
    """Decodes one channel.

    Attributes:
        fed: seconds of audio that were fed.
        decoded: seconds of audio that are decoded.
        wishes: for the stream that is opened next.
        sample_rate: of the audio that is fed, in Hz.
    """

    def __init__(
        self,
        channel: int,
        sample_rate: int,
        pool: StreamPool,
        wishes: StreamWishes,
        arrivals: Arrivals,
        emit: Callable[[Event], None],
        progressed: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Hold no stream yet; `emit` gets the events of the channel, `progressed` is called when `decoded` moved on.

        `failed` gets the error that ended the stream, if nobody here ended it.
        """
        self._progressed, self._failed = progressed, failed
        self._leaving = False
        self._channel, self.sample_rate, self._emit, self._arrivals = channel, sample_rate, emit, arrivals
        self._pool, self.wishes = pool, wishes
        self.fed = self.decoded = 0.0
        self._stream: LiveStream | None = None
        self._reader: asyncio.Task[None] | None = None
        self._snapshot: bytes | None = None
        self._base, self._first_segment, self._next_segment = 0.0, 0, 0
        self._open_segment: Result | None = None
        self._heard = asyncio.Event()
        self._texts: list[str] = []
        self._tokens: list[int] = []

    async def saved(self) -> SavedTrack:
        """Its state, with all that was told before."""
        snapshot = self._snapshot
        if self._stream is not None:
            snapshot = await self._stream.snapshot()
            await asyncio.sleep(_TURN_SECONDS)
            await self._check()
        return SavedTrack(
            self.fed,
            self._base,
            self._first_segment,
            self._next_segment,
            list(self._texts),
            list(self._tokens),
            snapshot,
        )

    def restore(self, saved: SavedTrack) -> None:
        """Go on with a state, before anything was fed."""
        self.fed = self.decoded = saved.fed
        self._base, self._first_segment, self._next_segment = saved.base, saved.first_segment, saved.next_segment
        self._texts, self._tokens, self._snapshot = list(saved.texts), list(saved.tokens), saved.snapshot

    @property
    def text(self) -> str:
        """The text of all segments that have ended."""
        return " ".join(text for text in (*self._texts, self._pool.spell(self._tokens)) if text)

    @property
    def is_open(self) -> bool:
        """Whether it holds a stream of the pool."""
        return self._stream is not None

    @property
    def is_parked(self) -> bool:
        """Whether it holds the snapshot of a stream."""
        return self._snapshot is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to decode before more audio comes."""
        return self._stream is None or self._stream.is_idle

    @property
    def missing(self) -> float:
        """Seconds of audio to `feed` before more can be decoded; 0 where that is not known."""
        return self._stream.missing if self._stream is not None else 0.0

    async def feed(self, samples: FloatArray) -> None:
        """Decode audio; waits for room.

        Raises:
            Overloaded: no stream is free.
            AudioError: the audio cannot be used.
            Exception: what ended the stream.
        """
        stream = self._stream or await self._open()
        while not stream.feed(self.sample_rate, samples):
            await self._check()
            await asyncio.sleep(_RETRY_SECONDS)
        self.fed += len(samples) / self.sample_rate

    async def flush(self) -> None:
        """End the stream: its last final comes. Audio that comes later begins another."""
        if self._stream is None and self._snapshot is None:
            return
        stream = self._stream or await self._open()
        stream.finish()
        if self._reader is not None:
            await self._reader
        self._forget_stream()
        self._texts.append(self._pool.spell(self._tokens))
        self._tokens.clear()
        self.decoded = self.fed

    async def settle(self) -> None:
        """Wait until nothing is left to decode before more audio comes, and all events of it are out.

        Raises:
            Exception: what ended the stream.
        """
        while self._stream is not None:
            self._heard.clear()
            is_idle = self._stream.is_idle
            await asyncio.sleep(_TURN_SECONDS)
            await self._check()
            if is_idle:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._heard.wait()

    async def park(self) -> None:
        """Give the stream back, and keep what is needed to go on exactly there. Call it when the track is idle."""
        if self._stream is None:
            return
        self._snapshot = await self._stream.snapshot()
        self._leaving = True
        self._stream.close()
        if self._reader is not None:
            with suppress(StreamClosed):
                await self._reader
        self._forget_stream()

    async def close(self) -> None:
        """Give the stream up."""
        self._snapshot = None
        self._leaving = True
        if self._stream is not None:
            self._stream.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._forget_stream()

    async def _open(self) -> LiveStream:
        self._stream = await self._pool.open(self.wishes, self._snapshot)
        if self._snapshot is None:
            self._base, self._first_segment = self.fed, self._next_segment
        self._snapshot = None
        self._reader = asyncio.create_task(self._read(self._stream))
        return self._stream

    def _forget_stream(self) -> None:
        self._stream = self._reader = None
        self._leaving = False

    async def _check(self) -> None:
        """Raise what ended the stream, if something did."""
        if self._reader is not None and self._reader.done():
            await self._reader
            raise StreamClosed("the stream ended before its audio did")

    async def _read(self, stream: LiveStream) -> None:
        try:
            async for result in stream.results():
                self._take(result)
        except Exception as error:
            if not self._leaving:
                self._failed(error)
            raise

    def _take(self, result: Result) -> None:
        self._tell(result)
        self._heard.set()
        self._progressed()

    def _tell(self, result: Result) -> None:
        segment, passage = self._first_segment + result.segment, self._passage(result)
        if segment < self._next_segment:
            return  # it was told before the stream went on here
        before, self._open_segment = self._open_segment, None if result.ends_segment else result
        self.decoded, lag = passage.end, self._arrivals.lag_ms(passage.end)
        if result.text and not (before and before.text):
            start = passage.words[0].start if passage.words else passage.start
            self._emit(SpeechStarted(self._channel, segment, start))
        if not result.ends_segment:
            said = (before.text, before.stable_text) if before else ("", "")
            if said != (result.text, result.stable_text):
                self._emit(Partial(self._channel, segment, passage, lag))
            return
        self._next_segment = segment + 1
        self._tokens.extend(result.token_ids)
        if not result.is_final:
            self._emit(Endpoint(self._channel, segment, passage.end))
        self._emit(Final(self._channel, segment, passage, result.is_final, lag))

    def _passage(self, result: Result) -> Passage:
        base = self._base
        words = (
            tuple(replace(w, start=w.start + base, end=w.end + base) for w in result.words) if base else result.words
        )
        start, end = base + result.start_time, base + result.end_time
        return Passage(result.text, result.stable_text, words, start, end, result, self._continues(result))

    def _continues(self, result: Result) -> bool:
        before = self._tokens[-_A_WORD:]
        spelled = self._pool.spell(before)
        if not (spelled and result.text):
            return False
        return self._pool.spell([*before, *result.token_ids]) != f"{spelled} {result.text}"
