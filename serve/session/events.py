"""What a session tells its connection, in the order in which it happens on each channel.

Times are seconds from the first sample of the session. Segments are counted from 0 on each channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from emf.runtime.recognition.result import Result, Word
from emf.serve.store.saved import SavedSession


@dataclass(frozen=True, slots=True)
class Passage:
    """What one segment of a channel says so far.

    Attributes:
        text: the transcript.
        stable_text: a prefix of `text` that never changes again.
        words: the words of `text`.
        start: where the segment begins; the end of the one before.
        end: up to where it is decoded, or where it ends.
        details: what the stream itself said, with tokens and alternatives; times there count from the stream's begin.
        continues: `text` goes on within the last word of the segment before; otherwise a space is between them.
    """

    text: str
    stable_text: str
    words: tuple[Word, ...]
    start: float
    end: float
    details: Result | None = None
    continues: bool = False


def joined(passages: Sequence[Passage]) -> str:
    """The text of passages that follow one another."""
    said = [passage for passage in passages if passage.text]
    return "".join(p.text if p.continues or p is said[0] else f" {p.text}" for p in said)


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The first word of a segment begins at `time`."""

    channel: int
    segment: int
    time: float


@dataclass(frozen=True, slots=True)
class StableGrew:
    """The stable text of a segment grew by `text`: joined, these give its final text. None is ever left out.

    Attributes:
        continues: `text` joins what came before without a space, in this segment or the one before.
    """

    channel: int
    segment: int
    text: str
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Partial:
    """A segment says something new. A slow reader gets the newest only.

    Attributes:
        lag_ms: from the arrival of the last sample decoded to this event.
    """

    channel: int
    segment: int
    passage: Passage
    lag_ms: float


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A silence, or its length, ended a segment at `time`. Its `Final` follows."""

    channel: int
    segment: int
    time: float


@dataclass(frozen=True, slots=True)
class Final:
    """The last word on a segment: all its text is stable. The finals of a channel tile its audio.

    Attributes:
        flushed: `Session.flush`, `Session.finish` or a long silence ended it, not an endpoint.
        lag_ms: see `Partial`.
    """

    channel: int
    segment: int
    passage: Passage
    flushed: bool
    lag_ms: float


@dataclass(frozen=True, slots=True)
class Flushed:
    """What `Session.flush(name)` asked for is done; the finals came before."""

    name: object


@dataclass(frozen=True, slots=True)
class Marked:
    """All audio before `Session.mark(name)` is decoded, on all channels."""

    name: object


@dataclass(frozen=True, slots=True)
class Settled:
    """Of the audio before `Session.settle(name)`, all is decoded that can be before more comes."""

    name: object


@dataclass(frozen=True, slots=True)
class Kept:
    """All samples (of each channel) before number `samples` are decoded; the client may forget them."""

    samples: int


@dataclass(frozen=True, slots=True)
class Saved:
    """The state of the session as of the events before: with it, another server goes on behind them."""

    session: SavedSession


@dataclass(frozen=True, slots=True)
class Complaint:
    """A message of the client that makes no sense, put by its connection; the session goes on."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Note:
    """Whatever a connection puts among the events for the one who writes them."""

    content: object


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of a session that ended well: all audio is decoded, all finals came.

    Attributes:
        texts: the text of each transcribed channel.
    """

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The last event of a session that cannot go on.

    Attributes:
        code: see `FailureCode`.
        message: one line, for people.
        retry_after: seconds after which another try makes sense.
    """

    code: str
    message: str
    retry_after: float | None = None


class FailureCode:
    """Values of `Failed.code`."""

    OVERLOADED = "overloaded"  # no stream was free when audio came
    BACKLOG = "backlog"  # the client sent audio much faster than it is decoded
    BAD_AUDIO = "bad_audio"
    BAD_REQUEST = "bad_request"
    IDLE = "idle"
    TOO_LONG = "too_long"  # the session reached its longest duration
    SLOW_CLIENT = "slow_client"
    OVER_QUOTA = "over_quota"
    RESTARTING = "restarting"  # the server ends
    INTERNAL = "internal"


Event: TypeAlias = (
    SpeechStarted
    | StableGrew
    | Partial
    | Endpoint
    | Final
    | Flushed
    | Marked
    | Settled
    | Kept
    | Saved
    | Complaint
    | Note
    | Ended
    | Failed
)
