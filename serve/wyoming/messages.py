"""The messages of Wyoming that have to do with speech to text.

Source of names and fields: the package `wyoming`, modules `asr`, `audio`, `error`, `info` and `ping`.
"""

from typing import ClassVar, TypeAlias

import msgspec

from emf.runtime.guidance.phrases import DEFAULT_SCORE, MAX_PHRASE_LENGTH
from emf.serve.wyoming.framing import Event, FramingError, to_bytes

_NAME_SCORE = 1.5 * DEFAULT_SCORE
"""Names are more important than other terms, says the protocol."""


class Describe(msgspec.Struct, frozen=True):
    """Ask for `Info`."""


class Transcribe(msgspec.Struct, frozen=True):
    """Tell how the next audio is to be decoded. The model and the language are as they are."""

    transcript_names: list[str] | None = None
    transcript_terms: list[str] | None = None

    @property
    def phrases(self) -> dict[str, float] | None:
        """What is likely to be said, with scores; `None` without any."""
        scores = dict.fromkeys(self.transcript_terms or (), DEFAULT_SCORE)
        scores |= dict.fromkeys(self.transcript_names or (), _NAME_SCORE)
        usable = [text for text in scores if text.split() and len(text) <= MAX_PHRASE_LENGTH]
        return {text: scores[text] for text in usable} or None


class AudioStart(msgspec.Struct, frozen=True):
    """Audio follows: samples a second, bytes a sample, channels."""

    rate: int
    width: int
    channels: int


class AudioChunk(AudioStart, frozen=True):
    """Audio; the samples are the payload."""


class AudioStop(msgspec.Struct, frozen=True):
    """The audio is complete."""


class Ping(msgspec.Struct, frozen=True):
    """Ask for `Pong`."""

    text: str | None = None


ClientMessage: TypeAlias = Describe | Transcribe | AudioStart | AudioChunk | AudioStop | Ping

_CLIENT_MESSAGES: dict[str, type[ClientMessage]] = {
    "describe": Describe,
    "transcribe": Transcribe,
    "audio-start": AudioStart,
    "audio-chunk": AudioChunk,
    "audio-stop": AudioStop,
    "ping": Ping,
}


def message_of(event: Event) -> ClientMessage | None:
    """The message in an event; `None` where its type has nothing to do with speech to text.

    Raises:
        FramingError: its data make no sense.
    """
    kind = _CLIENT_MESSAGES.get(event.type)
    if kind is None:
        return None
    try:
        return msgspec.convert(event.data, kind)
    except msgspec.ValidationError as error:
        raise FramingError(f"expected the data of {event.type} ({error})") from error


class TranscriptStart(msgspec.Struct, frozen=True):
    """Chunks follow."""

    TYPE: ClassVar[str] = "transcript-start"
    language: str


class TranscriptChunk(msgspec.Struct, frozen=True):
    """More of the transcript; it does not change any more."""

    TYPE: ClassVar[str] = "transcript-chunk"
    text: str


class Transcript(msgspec.Struct, frozen=True):
    """The whole transcript of the audio."""

    TYPE: ClassVar[str] = "transcript"
    text: str
    language: str


class TranscriptStop(msgspec.Struct, frozen=True):
    """No chunk follows."""

    TYPE: ClassVar[str] = "transcript-stop"


class Pong(msgspec.Struct, frozen=True):
    """The answer to a ping, with its text."""

    TYPE: ClassVar[str] = "pong"
    text: str | None


class Error(msgspec.Struct, frozen=True):
    """Something is wrong; the server closes the connection."""

    TYPE: ClassVar[str] = "error"
    text: str
    code: str


class Attribution(msgspec.Struct, frozen=True):
    """Who made something."""

    name: str
    url: str


class Model(msgspec.Struct, frozen=True):
    """What transcribes."""

    name: str
    attribution: Attribution
    description: str
    version: str
    languages: list[str]
    installed: bool = True


class Program(msgspec.Struct, frozen=True):
    """A service that transcribes. It wants to be told where an utterance ends, and audio as it is."""

    name: str
    attribution: Attribution
    description: str
    version: str
    models: list[Model]
    installed: bool = True
    supports_transcript_streaming: bool = True
    requires_external_vad: bool = True
    prefers_auto_gain_enabled: bool = True
    prefers_noise_reduction_enabled: bool = True


class Info(msgspec.Struct, frozen=True):
    """What the server can do; nothing but transcribe."""

    TYPE: ClassVar[str] = "info"
    asr: list[Program]
    tts: tuple[Program, ...] = ()
    handle: tuple[Program, ...] = ()
    intent: tuple[Program, ...] = ()
    wake: tuple[Program, ...] = ()
    mic: tuple[Program, ...] = ()
    snd: tuple[Program, ...] = ()


ServerMessage: TypeAlias = TranscriptStart | TranscriptChunk | Transcript | TranscriptStop | Pong | Error | Info


def encode(message: ServerMessage) -> bytes:
    """A message as it is sent."""
    return to_bytes(message.TYPE, message)
