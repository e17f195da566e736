"""Streams decoded by an engine in the server's own process."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence

from emf.runtime.arrays import FloatArray
from emf.runtime.engine.engine import Engine
from emf.runtime.engine.handle import StreamHandle
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.errors import Overloaded
from emf.runtime.guidance.biasing import can_spell
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.recognition.result import Result
from emf.runtime.recognition.stream import Stream
from emf.serve.pool.stream_pool import NO_WISHES, ModelFacts, StreamWishes

_METRICS_SECONDS = 0.25
"""How long measurements stay good: they cost a millisecond."""


class EngineStream:
    """A `LiveStream` of an engine of this process."""

    def __init__(self, handle: StreamHandle) -> None:
        self._handle = handle

    def feed(self, sample_rate: int, samples: FloatArray) -> bool:
        """See `LiveStream`."""
        try:
            self._handle.accept_waveform(sample_rate, samples)
        except Overloaded:
            return False
        return True

    def finish(self) -> None:
        """See `LiveStream`."""
        self._handle.input_finished()

    def results(self) -> AsyncIterator[Result]:
        """See `LiveStream`."""
        return aiter(self._handle)

    @property
    def is_idle(self) -> bool:
        """See `LiveStream`."""
        return self._handle.is_idle

    @property
    def missing(self) -> float:
        """See `LiveStream`."""
        return self._handle.missing

    async def snapshot(self) -> bytes:
        """See `LiveStream`. Waits in a thread while the stream is being decoded."""
        return (await self.timed_snapshot())[0]

    async def timed_snapshot(self) -> tuple[bytes, float]:
        """A snapshot, and the seconds of a processor that it took."""
        return await asyncio.to_thread(self._timed_snapshot)

    def _timed_snapshot(self) -> tuple[bytes, float]:
        begin = time.thread_time()
        data = self._handle.snapshot()
        return data, time.thread_time() - begin

    def close(self) -> None:
        """See `LiveStream`."""
        self._handle.close()


class InProcessPool:
    """A `StreamPool` around one engine of this process."""

    def __init__(
        self,
        recognizer: Recognizer,
        engine: Engine,
        name: str,
        language: str = "en",
        beyond_capacity: bool = False,
    ) -> None:
        """Serve streams of `engine`, which decodes with `recognizer`; `name` and `language` are the model's.

        `beyond_capacity` refuses no stream: somebody else counts them.
        """
        self.facts = ModelFacts(name, recognizer.sample_rate, language)
        self._recognizer, self._engine, self._beyond_capacity = recognizer, engine, beyond_capacity
        self._measured = engine.metrics()
        self._measured_at = time.monotonic()

    @property
    def identity(self) -> Mapping[str, str]:
        """What a snapshot must have been taken with."""
        return self._recognizer.settings.identity

    @property
    def segment(self) -> float:
        """Seconds of audio that the model decodes at a time."""
        return self._recognizer.transducer.manifest.seconds_per_step

    @property
    def capacity(self) -> int:
        """See `StreamPool`."""
        return self.metrics()[0].capacity

    async def open(self, wishes: StreamWishes = NO_WISHES, snapshot: bytes | None = None) -> EngineStream:
        """See `StreamPool`."""
        if snapshot is not None:
            stream = await asyncio.to_thread(self._recognizer.restore_stream, snapshot)
            stream.endpoint = wishes.endpoint
        elif wishes.phrases:
            stream = await asyncio.to_thread(self._create_stream, wishes)
        else:
            stream = self._create_stream(wishes)
        return EngineStream(self._engine.open(stream, beyond_capacity=self._beyond_capacity))

    def _create_stream(self, wishes: StreamWishes) -> Stream:
        phrases = wishes.phrases
        if phrases and wishes.forgiving:
            table = self._recognizer.tokens
            phrases = {phrase: score for phrase, score in phrases.items() if can_spell(phrase, table)}
        return self._recognizer.create_stream(phrases, None, wishes.endpoint)

    def spell(self, token_ids: Sequence[int]) -> str:
        """See `StreamPool`."""
        return self._recognizer.tokens.text(token_ids)

    def metrics(self) -> Sequence[EngineMetrics]:
        """See `StreamPool`."""
        if (now := time.monotonic()) - self._measured_at > _METRICS_SECONDS:
            self._measured, self._measured_at = self._engine.metrics(), now
        return (self._measured,)

    async def close(self) -> None:
        """See `StreamPool`."""
        await asyncio.to_thread(self._engine.close)
