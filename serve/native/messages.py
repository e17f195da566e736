"""The messages of the project's own protocol, as JSON text. Audio is sent between them as binary messages."""

from typing import TypeAlias

import msgspec

from emf.serve.session.audio_format import Encoding
from emf.serve.sockets.json_messages import decode_json


class Endpoints(msgspec.Struct, frozen=True):
    """When segments end, seconds; see `EndpointRules`. What is not given is as the server has it."""

    silence_before_speech: float | None = None
    silence_after_speech: float | None = None
    max_length: float | None = None


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Begin a session, or go on with one."""

    sample_rate: int = 16_000
    encoding: Encoding = Encoding.PCM_S16LE
    channels: int = 1
    separate: bool = False
    phrases: dict[str, float] | None = None
    endpoints: Endpoints | None = None
    partials: bool = True
    resume: str | None = None
    have: int = 0
    """With `resume`: final results that the client got; the others are sent again."""
    heard: dict[int, int] = {}
    """With `resume`: number of the last segment of each channel of which the final result came."""


class Mark(msgspec.Struct, frozen=True, tag="mark"):
    """Ask for `marked`."""

    id: msgspec.Raw


class KeepAlive(msgspec.Struct, frozen=True, tag="keep_alive"):
    """Say that the client is there, though it sends no audio."""


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """The audio is complete."""


ClientMessage: TypeAlias = Start | Mark | KeepAlive | Finish


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The session has begun, or goes on: send the audio from this sample on."""

    session: str
    resume: str
    audio_from: int


class WordTiming(msgspec.Struct, frozen=True):
    """A word; times in seconds from the begin of the session."""

    word: str
    start: float
    end: float
    confidence: float


class Result(msgspec.Struct, frozen=True, tag="result"):
    """What a segment says so far: `stable` never changes again, `unstable` may."""

    segment: int
    channel: int
    start: float
    end: float
    stable: str
    unstable: str
    words: list[WordTiming]
    is_final: bool
    lag_ms: float


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """The client may forget the audio before this sample."""

    samples: int


class Marked(msgspec.Struct, frozen=True, tag="marked"):
    """All audio before the mark is decoded."""

    id: msgspec.Raw


class Done(msgspec.Struct, frozen=True, tag="done"):
    """All audio is decoded. `texts` has an entry for each separate channel; `text` joins them by lines."""

    text: str
    texts: list[str]


class Error(msgspec.Struct, frozen=True, tag="error", omit_defaults=True):
    """Something is wrong. After `bad_message` the session goes on; after every other code the server closes."""

    code: str
    message: str
    retry_after: float | None = None


ServerMessage: TypeAlias = Started | Result | Kept | Marked | Done | Error

BAD_MESSAGE = "bad_message"
_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


def encode(message: ServerMessage) -> str:
    """A message of the server as text."""
    return _ENCODER.encode(message).decode()


def decode(text: str) -> ClientMessage:
    """A message of the client.

    Raises:
        msgspec.MsgspecError: it is none; the error says what is wrong.
    """
    return decode_json(_DECODER, text)
