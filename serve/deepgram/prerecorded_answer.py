"""The answer to prerecorded audio; shapes as `ListenV1Response` of the package deepgram-sdk, 7.17."""

from collections.abc import Iterator, Sequence
from uuid import NAMESPACE_OID, uuid5

import msgspec

from emf.runtime.recognition.result import Word
from emf.serve.deepgram import messages
from emf.serve.deepgram.request import DEPRECATED, Request
from emf.serve.deepgram.words import alternative, seconds


class AnswerMetadata(msgspec.Struct, frozen=True):
    """What was transcribed, and by which model."""

    transaction_key: str
    request_id: str
    sha256: str
    created: str
    duration: float
    channels: int
    models: list[str]
    model_info: dict[str, messages.ModelInfo]


class Utterance(msgspec.Struct, frozen=True):
    """Words without a long pause between them."""

    start: float
    end: float
    confidence: float
    channel: int
    transcript: str
    words: list[messages.Word]
    id: str


class AnswerResults(msgspec.Struct, frozen=True, omit_defaults=True):
    """A transcript for each channel; utterances where they were asked for."""

    channels: list[messages.Channel]
    utterances: list[Utterance] | None = None


class Answer(msgspec.Struct, frozen=True):
    """All of it."""

    metadata: AnswerMetadata
    results: AnswerResults


def make_answer(
    request: Request,
    digest: str,
    duration: float,
    channels: Sequence[tuple[str, Sequence[Word]]],
    utt_split: float | None,
) -> Answer:
    """The answer to a request.

    Args:
        request: that is answered.
        digest: SHA-256 of what was sent.
        duration: of the audio, in seconds.
        channels: text and words of each.
        utt_split: silence between two utterances, in seconds; `None` lists none.
    """
    metadata = AnswerMetadata(
        transaction_key=DEPRECATED,
        request_id=request.id,
        sha256=digest,
        created=request.created_text,
        duration=seconds(duration),
        channels=len(channels),
        models=[request.model_uuid],
        model_info={request.model_uuid: request.model_info},
    )
    results = [messages.Channel([alternative(words, text)]) for text, words in channels]
    if utt_split is None:
        return Answer(metadata, AnswerResults(results))
    utterances = [
        _utterance(request, channel, part)
        for channel, (_, words) in enumerate(channels)
        for part in _split(words, utt_split)
    ]
    return Answer(metadata, AnswerResults(results, sorted(utterances, key=lambda one: one.start)))


def _split(words: Sequence[Word], pause: float) -> Iterator[Sequence[Word]]:
    start = 0
    for at in range(1, len(words) + 1):
        if at == len(words) or words[at].start - words[at - 1].end >= pause:
            yield words[start:at]
            start = at


def _utterance(request: Request, channel: int, words: Sequence[Word]) -> Utterance:
    said = alternative(words)
    name = str(uuid5(NAMESPACE_OID, f"{request.id}/{channel}/{words[0].start}"))
    return Utterance(
        start=said.words[0].start,
        end=said.words[-1].end,
        confidence=said.confidence,
        channel=channel,
        transcript=said.transcript,
        words=said.words,
        id=name,
    )
