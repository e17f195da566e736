"""The forms of a transcript: JSON with more or less in it, text, subtitles.

Source: `openai.types.audio.Transcription` and `TranscriptionVerbose`.
"""

import zlib
from collections.abc import Iterator
from itertools import chain

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.result import Word
from emf.runtime.speech.subtitles import to_srt, to_vtt
from emf.serve.openai.server_messages import LogProb, Usage
from emf.serve.openai.transcription import Transcript
from emf.serve.openai.turns import logprobs
from emf.serve.openai.uploads import Granularity, ResponseFormat, Upload
from emf.serve.session.events import Passage

_DIGITS = 3
_SEGMENTS = EndpointRules()
"""Pauses and lengths at which a transcript is cut into segments."""
_UNKNOWN = "unknown"
"""Where the client does not name the language; an artifact does not either."""


class TimedWord(Struct, frozen=True):
    """A word; times in seconds. The confidence is not in OpenAI's."""

    word: str
    start: float
    end: float
    confidence: float


class Segment(Struct, frozen=True):
    """A segment; times in seconds. What only Whisper has is empty."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    avg_logprob: float
    compression_ratio: float
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    no_speech_prob: float = 0.0


class Plain(Struct, frozen=True):
    """`json`."""

    text: str
    usage: Usage
    logprobs: list[LogProb] | UnsetType = UNSET


class Verbose(Struct, frozen=True):
    """`verbose_json`."""

    language: str
    duration: float
    text: str
    usage: Usage
    segments: list[Segment] | UnsetType = UNSET
    words: list[TimedWord] | UnsetType = UNSET
    task: str = "transcribe"


def transcript_response(transcript: Transcript, upload: Upload) -> Response:
    """The answer in the form that was asked for."""
    match upload.form:
        case ResponseFormat.JSON:
            return _json(Plain(transcript.text, usage(transcript), wanted_logprobs(transcript, upload)))
        case ResponseFormat.VERBOSE_JSON:
            return _json(_verbose(transcript, upload))
        case ResponseFormat.TEXT:
            return _plain(f"{transcript.text}\n")
        case ResponseFormat.SRT:
            return _plain(to_srt(transcript.words, transcript.seconds))
        case ResponseFormat.VTT:
            return _plain(to_vtt(transcript.words, transcript.seconds))


def usage(transcript: Transcript) -> Usage:
    """Length of the audio."""
    return Usage(round(transcript.seconds, _DIGITS))


def wanted_logprobs(transcript: Transcript, upload: Upload) -> list[LogProb] | UnsetType:
    """Of the words, if they are wanted."""
    return logprobs(transcript.words) if upload.wants_logprobs else UNSET


def _verbose(transcript: Transcript, upload: Upload) -> Verbose:
    passages = [passage for passage in transcript.passages if passage.text]
    segments = [_segment(number, piece) for number, piece in enumerate(chain.from_iterable(map(_pieces, passages)))]
    words = [
        TimedWord(w.word, round(w.start, _DIGITS), round(w.end, _DIGITS), round(w.confidence, _DIGITS))
        for w in transcript.words
    ]
    return Verbose(
        upload.language or _UNKNOWN,
        round(transcript.seconds, _DIGITS),
        transcript.text,
        usage(transcript),
        segments if Granularity.SEGMENT in upload.granularities else UNSET,
        words if Granularity.WORD in upload.granularities else UNSET,
    )


def _pieces(passage: Passage) -> Iterator[Passage]:
    """A passage cut at its pauses, or between words where it is long; whole, if its text is not words and spaces."""
    words, rules = passage.words, _SEGMENTS
    if " ".join(word.word for word in words) != passage.text:
        yield passage
        return
    first = 0
    for at in range(1, len(words) + 1):
        is_last = at == len(words)
        length = (words[-1] if is_last else words[at]).end - words[first].start
        if is_last or words[at].start - words[at - 1].end >= rules.silence_after_speech or length > rules.max_length:
            said = words[first:at]
            text = " ".join(word.word for word in said)
            start, end = (passage.start if first == 0 else said[0].start), (passage.end if is_last else said[-1].end)
            yield Passage(text, text, said, start, end)
            first = at


def _segment(number: int, passage: Passage) -> Segment:
    words = passage.words
    start, end = (words[0].start, words[-1].end) if words else (passage.start, passage.end)
    return Segment(
        number,
        round(100 * passage.start),
        round(start, _DIGITS),
        round(end, _DIGITS),
        passage.text,
        round(_mean_logprob(words), _DIGITS),
        round(_compression_ratio(passage.text), _DIGITS),
    )


def _mean_logprob(words: tuple[Word, ...]) -> float:
    found = logprobs(words)
    return sum(each.logprob for each in found) / len(found) if found else 0.0


def _compression_ratio(text: str) -> float:
    """As Whisper has it: high where a text repeats itself."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def _json(document: Plain | Verbose) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")


def _plain(text: str) -> Response:
    return Response(text, media_type="text/plain")
