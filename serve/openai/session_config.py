"""The settings of a realtime session, and what they mean for decoding."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec
from msgspec import UnsetType

from emf.runtime.guidance.phrases import DEFAULT_SCORE, MAX_PHRASE_LENGTH
from emf.runtime.recognition.endpoint import EndpointRules
from emf.serve.openai.session_messages import (
    BetaSession,
    EffectiveAudio,
    EffectiveInput,
    Include,
    NoiseReduction,
    Pcm,
    SemanticVad,
    ServerVad,
    Session,
    SessionPatch,
    Transcription,
    TurnDetection,
    WireFormat,
    to_beta,
)
from emf.serve.pool.stream_pool import StreamWishes
from emf.serve.session.settings import UNBROKEN

Value = TypeVar("Value")
LOGPROBS = "item.input_audio_transcription.logprobs"
_FORM, _UNGUIDED, _TURNS = Pcm(), Transcription(), ServerVad()
"""What a session begins with."""
_SILENCES = {"low": 2.0, "medium": 1.2, "auto": 1.2, "high": 0.8}
"""That end a turn, in seconds, by the eagerness of `semantic_vad`."""
_SHORTEST_SILENCE = 0.3
"""Between two tokens of one word, there may be nearly as much."""
_LONGEST_TURN = 60.0


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """Settings of a session; see `session_messages`.

    Attributes:
        id: of the session.
        expires_at: seconds of the epoch.
        form: of the audio.
        transcription: what guides it.
        turn_detection: how turns end; `None` where the client ends them.
        noise_reduction: has no effect.
        include: what the client wants beside the text.
    """

    id: str
    expires_at: int
    form: WireFormat = _FORM
    transcription: Transcription = _UNGUIDED
    turn_detection: TurnDetection | None = _TURNS
    noise_reduction: NoiseReduction | None = None
    include: Include | None = None

    def updated(self, patch: SessionPatch) -> "SessionConfig":
        """The settings after a client's update."""
        wanted = patch.wanted
        return replace(
            self,
            form=_given(wanted.format, self.form) or _FORM,
            transcription=_given(wanted.transcription, self.transcription) or _UNGUIDED,
            turn_detection=_given(wanted.turn_detection, self.turn_detection),
            noise_reduction=_given(wanted.noise_reduction, self.noise_reduction),
            include=_given(patch.include, self.include),
        )

    def named(self, model: str) -> "SessionConfig":
        """These settings, with the name of a model, which any may be."""
        return replace(self, transcription=msgspec.structs.replace(self.transcription, model=model))

    @property
    def wishes(self) -> StreamWishes:
        """How streams are decoded. Without turn detection, the client says what has to be final."""
        return keyword_wishes(self.transcription.keywords or (), self._endpoint())

    @property
    def prefix_seconds(self) -> float:
        """How much earlier than the first word a turn begins."""
        match self.turn_detection:
            case ServerVad(prefix_padding_ms=int(milliseconds)):
                return milliseconds / 1e3
            case _:
                return 0.3

    @property
    def wants_logprobs(self) -> bool:
        """Whether the client asked for them."""
        return LOGPROBS in (self.include or ())

    def _endpoint(self) -> EndpointRules:
        match self.turn_detection:
            case None:
                return UNBROKEN
            case ServerVad(silence_duration_ms=milliseconds):
                silence = 0.5 if milliseconds is None else max(milliseconds / 1e3, _SHORTEST_SILENCE)
            case SemanticVad(eagerness=eagerness):
                silence = _SILENCES[eagerness or "auto"]
        return EndpointRules(silence_after_speech=silence, max_length=_LONGEST_TURN)

    def as_session(self) -> Session:
        """In the GA shape."""
        given = EffectiveInput(self.form, self.transcription, self.noise_reduction, self.turn_detection)
        return Session(self.id, self.expires_at, EffectiveAudio(given), self.include)

    def as_beta_session(self) -> BetaSession:
        """In the shape of the beta."""
        return BetaSession(
            self.id,
            self.expires_at,
            to_beta(self.form),
            self.transcription,
            self.turn_detection,
            self.noise_reduction,
            self.include,
        )


def keyword_wishes(keywords: Sequence[str], endpoint: EndpointRules | None) -> StreamWishes:
    """How a stream is decoded; keywords that the model cannot write have no effect."""
    wanted = [word for word in keywords if word.strip() and len(word) <= MAX_PHRASE_LENGTH]
    phrases = dict.fromkeys(wanted, DEFAULT_SCORE) if wanted else None
    return StreamWishes(phrases, endpoint, forgiving=True)


def _given(value: Value | UnsetType, known: Value) -> Value:
    """What a client gave, or else what is known."""
    return known if isinstance(value, UnsetType) else value
