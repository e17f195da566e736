"""How a realtime session is described: the GA shape, and the flat one of the beta.

Source: `RealtimeTranscriptionSessionCreateRequest` and `TranscriptionSession` in `openai.types`.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from emf.runtime.audio.samples import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from emf.serve.session.audio_format import AudioFormat, Encoding

PCM_RATE = 24_000
"""Of `audio/pcm`, unless another is given, which OpenAI does not allow."""
_G711_RATE = 8_000

Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=86_400_000)]
Words: TypeAlias = Annotated[list[Annotated[str, Meta(max_length=1_000)]], Meta(max_length=1_000)]
Name: TypeAlias = Annotated[str, Meta(max_length=1_000)]


class Pcm(Struct, frozen=True, tag="audio/pcm"):
    """16 bits a sample, little-endian, mono."""

    rate: Annotated[int, Meta(ge=MIN_SAMPLE_RATE, le=MAX_SAMPLE_RATE)] = PCM_RATE


class Mulaw(Struct, frozen=True, tag="audio/pcmu"):
    """G.711 μ-law at 8 kHz."""


class Alaw(Struct, frozen=True, tag="audio/pcma"):
    """G.711 A-law at 8 kHz."""


WireFormat: TypeAlias = Pcm | Mulaw | Alaw
BetaFormat: TypeAlias = Literal["pcm16", "g711_ulaw", "g711_alaw"]
_BETA_FORMATS: dict[BetaFormat, WireFormat] = {"pcm16": Pcm(), "g711_ulaw": Mulaw(), "g711_alaw": Alaw()}


def from_beta(name: BetaFormat) -> WireFormat:
    """The format that the beta calls `name`."""
    return _BETA_FORMATS[name]


def to_beta(form: WireFormat) -> BetaFormat:
    """The beta's name of a format."""
    return next(name for name, known in _BETA_FORMATS.items() if type(known) is type(form))


def audio_format(form: WireFormat) -> AudioFormat:
    """The format as sessions have it."""
    match form:
        case Pcm(rate):
            return AudioFormat(Encoding.PCM_S16LE, rate)
        case Mulaw():
            return AudioFormat(Encoding.MULAW, _G711_RATE)
        case Alaw():
            return AudioFormat(Encoding.ALAW, _G711_RATE)


class Transcription(Struct, frozen=True, omit_defaults=True):
    """What guides the transcription. Of these, `keywords` have an effect here."""

    model: Name | None = None
    language: Name | None = None
    languages: Words | None = None
    keywords: Words | None = None
    prompt: Annotated[str, Meta(max_length=32_000)] | None = None
    delay: Name | None = None


class NoiseReduction(Struct, frozen=True, omit_defaults=True):
    """Has no effect."""

    type: Name | None = None
    strength: float | None = None


class ServerVad(Struct, frozen=True, tag="server_vad"):
    """A turn ends with a silence of `silence_duration_ms`."""

    threshold: Annotated[float, Meta(ge=0.0, le=1.0)] | None = 0.5
    prefix_padding_ms: Milliseconds | None = 300
    silence_duration_ms: Milliseconds | None = 500
    idle_timeout_ms: Milliseconds | None = None
    create_response: bool | None = False
    interrupt_response: bool | None = False


class SemanticVad(Struct, frozen=True, tag="semantic_vad"):
    """A turn ends sooner or later after somebody stopped to speak."""

    eagerness: Literal["low", "medium", "high", "auto"] | None = "auto"
    create_response: bool | None = False
    interrupt_response: bool | None = False


TurnDetection: TypeAlias = ServerVad | SemanticVad


class AudioInput(Struct, frozen=True):
    """What a client wants of the audio. What is not given stays as it is."""

    format: WireFormat | UnsetType | None = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET
    noise_reduction: NoiseReduction | UnsetType | None = UNSET


class Audio(Struct, frozen=True):
    """See `AudioInput`."""

    input: AudioInput | None = None


Include: TypeAlias = Annotated[list[Name], Meta(max_length=100)]


class SessionPatch(Struct, frozen=True):
    """What a client wants of the session, in the GA shape (`audio`) or the beta's (all the other fields)."""

    type: Literal["transcription"] = "transcription"
    audio: Audio | None = None
    include: Include | UnsetType | None = UNSET
    input_audio_format: BetaFormat | UnsetType | None = UNSET
    input_audio_transcription: Transcription | UnsetType | None = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET
    input_audio_noise_reduction: NoiseReduction | UnsetType | None = UNSET

    @property
    def wanted(self) -> AudioInput:
        """What is wanted of the audio, whichever shape it came in."""
        if self.audio is not None and self.audio.input is not None:
            return self.audio.input
        name = self.input_audio_format
        return AudioInput(
            from_beta(name) if isinstance(name, str) else name,
            self.input_audio_transcription,
            self.turn_detection,
            self.input_audio_noise_reduction,
        )


class EffectiveInput(Struct, frozen=True):
    """The audio's settings as they are."""

    format: WireFormat
    transcription: Transcription
    noise_reduction: NoiseReduction | None
    turn_detection: TurnDetection | None


class EffectiveAudio(Struct, frozen=True):
    """See `EffectiveInput`."""

    input: EffectiveInput


class Session(Struct, frozen=True):
    """A session as it is, in the GA shape."""

    id: str
    expires_at: int
    audio: EffectiveAudio
    include: Include | None
    type: str = "transcription"
    object: str = "realtime.transcription_session"


class BetaSession(Struct, frozen=True):
    """A session as it is, in the shape of the beta."""

    id: str
    expires_at: int
    input_audio_format: BetaFormat
    input_audio_transcription: Transcription
    turn_detection: TurnDetection | None
    input_audio_noise_reduction: NoiseReduction | None
    include: Include | None
    client_secret: None = None
    object: str = "realtime.transcription_session"
