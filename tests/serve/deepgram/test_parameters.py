"""What the query of `/v1/listen` means."""

from typing import Any

import pytest
from starlette.datastructures import QueryParams

from emf.runtime.errors import UsageError
from emf.runtime.guidance.phrases import DEFAULT_SCORE
from emf.serve.deepgram.parameters import SHORTEST_PAUSE, Parameters, phrases_of, read_parameters
from emf.serve.session.audio_format import AudioFormat, Encoding

MEANINGS: dict[str, dict[str, Any]] = {
    "": {},
    "encoding=linear16&sample_rate=8000": {"form": AudioFormat(Encoding.PCM_S16LE, 8_000)},
    "encoding=mulaw&sample_rate=8000&channels=2": {"form": AudioFormat(Encoding.MULAW, 8_000, 2)},
    "encoding=linear32&sample_rate=48000&channels=2&multichannel=true": {
        "form": AudioFormat(Encoding.PCM_F32LE, 48_000, 2, separate=True),
        "multichannel": True,
    },
    "encoding=alaw&sample_rate=8000&multichannel=true": {
        "form": AudioFormat(Encoding.ALAW, 8_000),
        "multichannel": True,
    },
    "encoding=ogg-opus&sample_rate=48000": {},
    "endpointing=false": {"endpointing": None},
    "endpointing=true": {"endpointing": SHORTEST_PAUSE},
    "endpointing=10": {"endpointing": SHORTEST_PAUSE},
    "endpointing=1500": {"endpointing": 1.5},
    "utterance_end_ms=1000&interim_results=True&vad_events=1": {
        "utterance_end": 1.0,
        "interim_results": True,
        "vad_events": True,
    },
    "keyterm=new+york&keyterm=x%3A2&keywords=a%3A2&keywords=b": {
        "phrases": {"new york": DEFAULT_SCORE, "x:2": DEFAULT_SCORE, "a": 2 * DEFAULT_SCORE, "b": DEFAULT_SCORE}
    },
    "utterances=true&utt_split=1.1": {"utterances": True, "utt_split": 1.1},
}


@pytest.mark.parametrize("query", MEANINGS)
def test_meanings(query: str) -> None:
    assert read_parameters(QueryParams(query)) == Parameters(**MEANINGS[query])


@pytest.mark.parametrize(
    ("keyword", "word", "share"),
    [("a:-2", "a", -2), ("a:1e9", "a", 5), ("a:b", "a:b", 1), ("a:nan", "a:nan", 1), ("a:", "a:", 1), (":2", ":2", 1)],
)
def test_intensifiers(keyword: str, word: str, share: float) -> None:
    assert phrases_of([], [keyword]) == {word: share * DEFAULT_SCORE}


def test_phrases_that_are_none_or_too_many() -> None:
    assert phrases_of(["", "  "], [""]) is None
    with pytest.raises(UsageError):
        phrases_of([str(number) for number in range(501)])


def test_the_shorter_silence_ends_a_segment() -> None:
    def silences(**fields: Any) -> tuple[float, float]:
        rules = Parameters(**fields).live_wishes.endpoint
        assert rules is not None
        return rules.silence_before_speech, rules.silence_after_speech

    assert silences()[1] == SHORTEST_PAUSE
    assert silences(endpointing=2.0, utterance_end=1.0)[1] == 1.0
    assert silences(endpointing=None, utterance_end=1.0)[1] == 1.0
    assert min(silences(endpointing=None)) > 3600, "never"
