"""Messages of Deepgram's live protocol, as JSON text; shapes as in the package deepgram-sdk, 7.17."""

from typing import TypeAlias

import msgspec

from emf.serve.sockets.json_messages import decode_json


class KeepAlive(msgspec.Struct, frozen=True, tag="KeepAlive"):
    """The client is there, though it sends no audio."""


class Finalize(msgspec.Struct, frozen=True, tag="Finalize"):
    """Give the final results of all audio so far."""


class CloseStream(msgspec.Struct, frozen=True, tag="CloseStream"):
    """The audio is complete."""


class Configure(msgspec.Struct, frozen=True, tag="Configure"):
    """Replace the keyterms; features of formatting are ignored."""

    keyterms: list[str] | None = None
    features: dict[str, bool] | None = None


ClientMessage: TypeAlias = KeepAlive | Finalize | CloseStream | Configure


class Word(msgspec.Struct, frozen=True):
    """A word; times in seconds from the begin of the stream."""

    word: str
    start: float
    end: float
    confidence: float
    punctuated_word: str


class Alternative(msgspec.Struct, frozen=True):
    """What a stretch of audio says. `confidence` is the mean of its words', 0 without any."""

    transcript: str
    confidence: float
    words: list[Word]


class Channel(msgspec.Struct, frozen=True):
    """The one alternative that is given."""

    alternatives: list[Alternative]


class ModelInfo(msgspec.Struct, frozen=True):
    """Names the model."""

    name: str
    version: str
    arch: str


class RequestMetadata(msgspec.Struct, frozen=True):
    """What every result says of its request."""

    request_id: str
    model_info: ModelInfo
    model_uuid: str


class Results(msgspec.Struct, frozen=True, tag="Results"):
    """What the audio from `start` on says. Those that are final tile each channel's audio and never change."""

    channel_index: tuple[int, int]
    duration: float
    start: float
    is_final: bool
    speech_final: bool
    channel: Channel
    metadata: RequestMetadata
    from_finalize: bool = False


class SpeechStarted(msgspec.Struct, frozen=True, tag="SpeechStarted"):
    """Speech begins."""

    channel: tuple[int, int]
    timestamp: float


class UtteranceEnd(msgspec.Struct, frozen=True, tag="UtteranceEnd"):
    """No word follows the last for as long as the client asked."""

    channel: tuple[int, int]
    last_word_end: float


class Metadata(msgspec.Struct, frozen=True, tag="Metadata"):
    """The last message."""

    transaction_key: str
    request_id: str
    sha256: str
    created: str
    duration: float
    channels: int
    models: list[str]
    model_info: dict[str, ModelInfo]


class ConfigureSuccess(msgspec.Struct, frozen=True, tag="ConfigureSuccess", omit_defaults=True):
    """`Configure` is in effect; `keyterms` where it replaced them."""

    request_id: str
    keyterms: list[str] | None = None


class ConfigureFailure(msgspec.Struct, frozen=True, tag="ConfigureFailure"):
    """`Configure` changed nothing."""

    request_id: str
    code: str
    description: str


class Error(msgspec.Struct, frozen=True, tag="Error", omit_defaults=True):
    """A message of the client makes no sense; the stream goes on."""

    variant: str
    description: str
    message: str = ""


ServerMessage: TypeAlias = (
    Results | SpeechStarted | UtteranceEnd | Metadata | ConfigureSuccess | ConfigureFailure | Error
)

SCHEMA_ERROR = "SchemaError"
KEYTERM_LIMIT = "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
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
