"""What a server and its workers say to each other, as MessagePack: typed, and no code travels in it.

A worker first says `Starting`, as often as it takes, then `Ready` or `CannotServe`. It takes the messages of a stream
in their order. Streams have the number that the server gives them.
"""

from typing import TypeAlias

import msgspec
from msgspec import Struct

from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.result import Result


class Open(Struct, frozen=True, tag="open"):
    """Begin a stream, or go on with one; see `StreamPool.open`. It is admitted even where the engine is full."""

    stream: int
    snapshot: memoryview | None = None
    phrases: dict[str, float] | None = None
    endpoint: EndpointRules | None = None
    forgiving: bool = False


class Feed(Struct, frozen=True, tag="feed"):
    """Mono audio: float32, little-endian."""

    stream: int
    sample_rate: int
    samples: bytes


class Finish(Struct, frozen=True, tag="finish"):
    """The audio is complete."""

    stream: int


class TakeSnapshot(Struct, frozen=True, tag="take"):
    """Ask for `Snapshot` of all that was fed up to here."""

    stream: int
    name: int


class Look(Struct, frozen=True, tag="look"):
    """Ask for `Heard` as soon as nothing is left to decode before more audio comes."""

    stream: int


class Close(Struct, frozen=True, tag="close"):
    """Give a stream up. Nothing more is said of it."""

    stream: int


class Ping(Struct, frozen=True, tag="ping"):
    """Ask for `Pong`."""


ToWorker: TypeAlias = Open | Feed | Finish | TakeSnapshot | Look | Close | Ping


class Starting(Struct, frozen=True, tag="starting"):
    """The worker lives, and is not ready yet. It says so several times a second."""


class Ready(Struct, frozen=True, tag="ready"):
    """The worker takes streams.

    Attributes:
        pid: of its process.
        sample_rate: of the model, in Hz.
        identity: of its recognizer: what snapshots it takes.
        metrics: of its engine.
        seconds: that it needed to be ready.
        segment: seconds of audio that it decodes at a time.
    """

    pid: int
    sample_rate: int
    identity: dict[str, str]
    metrics: EngineMetrics
    seconds: float
    segment: float


class CannotServe(Struct, frozen=True, tag="cannot"):
    """The worker ends: its model cannot be opened. `kind` is the name of an `EmfError`."""

    kind: str
    message: str


class Opened(Struct, frozen=True, tag="opened"):
    """A stream has begun."""

    stream: int


class Heard(Struct, frozen=True, tag="heard"):
    """A stream says something new.

    Attributes:
        fed: `Feed` messages that were taken.
        is_idle: nothing of them is left to decode before more audio comes.
        missing: seconds of audio behind them that complete the next segment.
        result: `None` where only the rest is new.
    """

    stream: int
    fed: int
    is_idle: bool
    missing: float
    result: Result | None = None


class Snapshot(Struct, frozen=True, tag="snapshot"):
    """Answer to `TakeSnapshot`; it took so many seconds of a processor."""

    stream: int
    name: int
    data: memoryview
    seconds: float


class Over(Struct, frozen=True, tag="over"):
    """A stream has ended: well, or by the error of which `kind` is the name. `message` is for people."""

    stream: int
    kind: str = ""
    message: str = ""


class Pong(Struct, frozen=True, tag="pong"):
    """The worker lives."""

    metrics: EngineMetrics


FromWorker: TypeAlias = Starting | Ready | CannotServe | Opened | Heard | Snapshot | Over | Pong

Frame: TypeAlias = bytes | memoryview
"""A message as bytes."""
MOST_BYTES = 2**30
"""Of a message."""
_ENCODER = msgspec.msgpack.Encoder()
_TO_WORKER: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_FROM_WORKER: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: ToWorker | FromWorker) -> bytes:
    """A message as bytes."""
    return _ENCODER.encode(message)


def to_worker(data: Frame) -> ToWorker:
    """A message for a worker.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _TO_WORKER.decode(data)


def from_worker(data: Frame) -> FromWorker:
    """A message of a worker.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _FROM_WORKER.decode(data)
