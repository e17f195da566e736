"""The messages to a realtime client.

Source: `openai.types.realtime.RealtimeServerEvent`; those of the beta have the same fields under other names.
"""

from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from emf.serve.openai.session_messages import BetaSession, Session

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class SessionCreated(Struct, frozen=True, tag="session.created"):
    """The first message."""

    event_id: str
    session: Session


class SessionUpdated(Struct, frozen=True, tag="session.updated"):
    """The answer to `session.update`."""

    event_id: str
    session: Session


class BetaSessionCreated(Struct, frozen=True, tag="transcription_session.created"):
    """The first message."""

    event_id: str
    session: BetaSession


class BetaSessionUpdated(Struct, frozen=True, tag="transcription_session.updated"):
    """The answer to `transcription_session.update`."""

    event_id: str
    session: BetaSession


class SpeechStarted(Struct, frozen=True, tag="input_audio_buffer.speech_started"):
    """Somebody speaks."""

    event_id: str
    item_id: str
    audio_start_ms: int


class SpeechStopped(Struct, frozen=True, tag="input_audio_buffer.speech_stopped"):
    """Nobody speaks any more."""

    event_id: str
    item_id: str
    audio_end_ms: int


class Committed(Struct, frozen=True, tag="input_audio_buffer.committed"):
    """Audio became an item."""

    event_id: str
    item_id: str
    previous_item_id: str | None


class Cleared(Struct, frozen=True, tag="input_audio_buffer.cleared"):
    """The audio is forgotten."""

    event_id: str


class AudioContent(Struct, frozen=True, tag="input_audio"):
    """What an item holds."""

    transcript: str | None = None


class Item(Struct, frozen=True):
    """A turn of the speaker."""

    id: str
    content: tuple[AudioContent, ...] = (AudioContent(),)
    type: str = "message"
    object: str = "realtime.item"
    role: str = "user"
    status: str = "completed"


class ItemAdded(Struct, frozen=True, tag="conversation.item.added"):
    """There is a new item."""

    event_id: str
    item: Item
    previous_item_id: str | None


class ItemDone(Struct, frozen=True, tag="conversation.item.done"):
    """The item is complete."""

    event_id: str
    item: Item
    previous_item_id: str | None


class ItemCreated(Struct, frozen=True, tag="conversation.item.created"):
    """There is a new item, as the beta says it."""

    event_id: str
    item: Item
    previous_item_id: str | None


class Delta(Struct, frozen=True, tag=f"{_TRANSCRIPTION}.delta"):
    """The transcript of an item grew."""

    event_id: str
    item_id: str
    delta: str
    content_index: int = 0


class LogProb(Struct, frozen=True):
    """A word, and the logarithm of its confidence."""

    token: str
    bytes: list[int]
    logprob: float


class Word(Struct, frozen=True):
    """A word; times in seconds from the begin of the session."""

    word: str
    start: float
    end: float
    confidence: float


class Usage(Struct, frozen=True, tag="duration"):
    """Length of the audio."""

    seconds: float


class Completed(Struct, frozen=True, tag=f"{_TRANSCRIPTION}.completed"):
    """The transcript of an item."""

    event_id: str
    item_id: str
    transcript: str
    usage: Usage
    words: list[Word] | UnsetType = UNSET
    logprobs: list[LogProb] | UnsetType = UNSET
    content_index: int = 0


class ErrorDetails(Struct, frozen=True):
    """See `Error`."""

    type: Literal["invalid_request_error", "server_error", "rate_limit_error"]
    code: str | None
    message: str
    param: str | None = None
    event_id: str | None = None


class Error(Struct, frozen=True, tag="error"):
    """Something is wrong."""

    event_id: str
    error: ErrorDetails


ServerMessage: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | BetaSessionCreated
    | BetaSessionUpdated
    | SpeechStarted
    | SpeechStopped
    | Committed
    | Cleared
    | ItemAdded
    | ItemDone
    | ItemCreated
    | Delta
    | Completed
    | Error
)
_ENCODER = msgspec.json.Encoder()


def encode(message: ServerMessage) -> str:
    """A message as text."""
    return _ENCODER.encode(message).decode()
