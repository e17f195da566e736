"""What a client asks for in the query of `/v1/listen`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from starlette.datastructures import QueryParams

from emf.runtime.errors import AudioError, UsageError
from emf.runtime.guidance.phrases import DEFAULT_SCORE, MAX_PHRASE_LENGTH
from emf.runtime.recognition.endpoint import EndpointRules
from emf.serve.pool.stream_pool import StreamWishes
from emf.serve.session.audio_format import AudioFormat, Encoding

SHORTEST_PAUSE = 0.3
"""Seconds; Deepgram's default of 10 ms would end a segment between two letters: here silence is what has no token."""
_NEVER = 86_400.0
_LONGEST_MS = 60_000
_MOST_KEYTERMS = 500
_MOST_BOOST = 5.0
_ENCODINGS = {
    "linear16": Encoding.PCM_S16LE,
    "linear32": Encoding.PCM_F32LE,
    "mulaw": Encoding.MULAW,
    "alaw": Encoding.ALAW,
}
_CONTAINERS = ("opus", "ogg-opus", "flac")
"""Encodings that Deepgram takes in a container, too, which says all of them itself."""
_TRUE, _FALSE = ("true", "1"), ("false", "0", "")
_REFUSED = ("callback", "redact")
"""Whoever asks for these would rely on them."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A client's wishes; times in seconds.

    Attributes:
        form: of raw audio; `None`: the audio comes in a container.
        multichannel: transcribe each channel by itself.
        interim_results: give text that may still change.
        endpointing: silence that ends a stretch of speech; `None` is never.
        utterance_end: silence after which `UtteranceEnd` comes; `None` is never.
        vad_events: give `SpeechStarted`.
        phrases: that are likelier, with their scores.
        utterances: list them, of prerecorded audio.
        utt_split: silence between two of them.
    """

    form: AudioFormat | None = None
    multichannel: bool = False
    interim_results: bool = False
    endpointing: float | None = SHORTEST_PAUSE
    utterance_end: float | None = None
    vad_events: bool = False
    phrases: Mapping[str, float] | None = None
    utterances: bool = False
    utt_split: float = 0.8

    @property
    def pause(self) -> float:
        """Silence that ends a segment."""
        return min(length for length in (self.endpointing, self.utterance_end, _NEVER) if length is not None)

    @property
    def live_wishes(self) -> StreamWishes:
        """For streams of live audio."""
        before = EndpointRules().silence_before_speech if self.pause < _NEVER else _NEVER
        return StreamWishes(self.phrases, EndpointRules(before, self.pause), forgiving=True)


def read_parameters(query: QueryParams) -> Parameters:
    """The wishes in a query; parameters that are not known are ignored.

    Raises:
        UsageError: a value makes no sense, or is refused.
    """
    for name in _REFUSED:
        if query.get(name, "").lower() not in _FALSE:
            raise UsageError(f"{name} is not supported by this server; leave it out")
    multichannel = _flag(query, "multichannel")
    return Parameters(
        form=_form(query, multichannel),
        multichannel=multichannel,
        interim_results=_flag(query, "interim_results"),
        endpointing=_endpointing(query.get("endpointing")),
        utterance_end=_milliseconds("utterance_end_ms", given, 1) if (given := query.get("utterance_end_ms")) else None,
        vad_events=_flag(query, "vad_events"),
        phrases=phrases_of(query.getlist("keyterm"), query.getlist("keywords")),
        utterances=_flag(query, "utterances"),
        utt_split=_seconds(query, "utt_split", 0.8),
    )


def phrases_of(keyterms: Iterable[str], keywords: Iterable[str] = ()) -> Mapping[str, float] | None:
    """Phrases with their scores: keyterms, and keywords with an intensifier behind a colon; `None` for none.

    Raises:
        UsageError: too many, or one that is too long.
    """
    scores = {term.strip(): DEFAULT_SCORE for term in keyterms} | dict(map(_keyword, keywords))
    found = {phrase: score for phrase, score in scores.items() if phrase}
    if len(found) > _MOST_KEYTERMS or any(len(phrase) > MAX_PHRASE_LENGTH for phrase in found):
        raise UsageError(f"expected at most {_MOST_KEYTERMS} keyterms of {MAX_PHRASE_LENGTH} characters, found more")
    return found or None


def _keyword(given: str) -> tuple[str, float]:
    word, _, boost = given.rpartition(":")
    try:
        share = float(boost) if word else 1.0
    except ValueError:
        return given.strip(), DEFAULT_SCORE
    if not isfinite(share):
        return given.strip(), DEFAULT_SCORE
    return (word or given).strip(), max(-_MOST_BOOST, min(share, _MOST_BOOST)) * DEFAULT_SCORE


def _form(query: QueryParams, multichannel: bool) -> AudioFormat | None:
    encoding = query.get("encoding")
    if not encoding or encoding in _CONTAINERS:
        return None
    if encoding not in _ENCODINGS:
        known = ", ".join((*_ENCODINGS, *_CONTAINERS))
        raise UsageError(f"unsupported encoding {encoding!r:.40}; expected one of {known}, or a container without it")
    if not (rate := query.get("sample_rate")):
        raise UsageError("expected sample_rate beside encoding, found none; add it")
    channels = _whole("channels", query.get("channels") or "1")
    try:
        return AudioFormat(_ENCODINGS[encoding], _whole("sample_rate", rate), channels, multichannel and channels > 1)
    except AudioError as error:
        raise UsageError(str(error)) from error


def _endpointing(given: str | None) -> float | None:
    if given is None or given.lower() == "true":
        return SHORTEST_PAUSE
    if given.lower() == "false":
        return None
    return max(_milliseconds("endpointing", given, 0), SHORTEST_PAUSE)


def _flag(query: QueryParams, name: str) -> bool:
    given = query.get(name, "").lower()
    if given not in (*_TRUE, *_FALSE):
        raise UsageError(f"expected true or false for {name}, found {given!r:.40}")
    return given in _TRUE


def _milliseconds(name: str, given: str, low: int) -> float:
    value = _whole(name, given)
    if not low <= value <= _LONGEST_MS:
        raise UsageError(f"expected {low} to {_LONGEST_MS} milliseconds for {name}, found {value}")
    return value / 1000


def _seconds(query: QueryParams, name: str, otherwise: float) -> float:
    try:
        value = float(query.get(name) or otherwise)
    except ValueError:
        value = -1.0
    if not 0.0 < value <= _NEVER:
        raise UsageError(f"expected seconds above 0 for {name}, found {query.get(name)!r:.40}")
    return value


def _whole(name: str, given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise UsageError(f"expected a whole number for {name}, found {given!r:.40}")
    return int(given)
