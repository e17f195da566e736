"""What sessions ask of the place where streams are decoded: this process, or others."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from emf.runtime.arrays import FloatArray
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.result import Result


@dataclass(frozen=True, slots=True)
class StreamWishes:
    """How one stream differs from the server's recognizer.

    Attributes:
        phrases: likelier phrases with their scores; `None` takes the server's.
        endpoint: when segments end; `None` takes the server's rules.
        forgiving: phrases that cannot be written with the model's pieces are left out; otherwise they are an error.
    """

    phrases: Mapping[str, float] | None = None
    endpoint: EndpointRules | None = None
    forgiving: bool = False


NO_WISHES = StreamWishes()


class LiveStream(Protocol):
    """A stream that is being decoded. It belongs to one event loop."""

    def feed(self, sample_rate: int, samples: FloatArray) -> bool:
        """Add mono audio, without waiting. Return False where there is no room now; nothing was taken then.

        Raises:
            AudioError: the audio cannot be used; the stream stays as it was.
            StreamClosed: the stream has ended.
        """

    def finish(self) -> None:
        """Declare the audio complete; the results go on up to the final one."""

    def results(self) -> AsyncIterator[Result]:
        """Results as they come; a slow reader gets the newest of each segment.

        Raises:
            Exception: what ended the stream.
        """

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to decode before more audio comes."""

    @property
    def missing(self) -> float:
        """Seconds of audio to `feed` before more can be decoded: less may wait outside. 0 where it is not known."""

    async def snapshot(self) -> bytes:
        """All state of the stream, for `StreamPool.open`."""

    def close(self) -> None:
        """Give the stream up."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What clients may want to know of the model.

    Attributes:
        name: of the artifact.
        sample_rate: in Hz; other rates are resampled to it.
        language: that it understands, as a tag such as `en`.
    """

    name: str
    sample_rate: int
    language: str = "en"


class StreamPool(Protocol):
    """Opens streams. It belongs to one event loop."""

    @property
    def facts(self) -> ModelFacts:
        """Of the model."""

    @property
    def capacity(self) -> int:
        """Streams that can be decoded at once within the deadline."""

    async def open(self, wishes: StreamWishes = NO_WISHES, snapshot: bytes | None = None) -> LiveStream:
        """Begin a stream, or go on with one.

        Raises:
            Overloaded: none is free.
            UsageError: a phrase cannot be written with the model's pieces.
            SnapshotError: the snapshot does not fit.
        """

    def spell(self, token_ids: Sequence[int]) -> str:
        """The text of tokens."""

    def metrics(self) -> Sequence[EngineMetrics]:
        """Of every engine."""

    async def close(self) -> None:
        """End all streams and threads."""
