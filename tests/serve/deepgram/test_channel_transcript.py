"""Whatever a session says of a channel, and in whatever steps, its finals tile the audio and give its text."""

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.recognition.result import Word
from emf.serve.deepgram.channel_transcript import ChannelTranscript
from emf.serve.deepgram.messages import ModelInfo, RequestMetadata, Results, ServerMessage, UtteranceEnd
from emf.serve.deepgram.parameters import Parameters
from emf.serve.session.events import Passage

METADATA = RequestMetadata("request", ModelInfo("model", "1", "arch"), "uuid")
PAUSE = 0.5


def passage(start: float, end: float, said: list[tuple[float, str]], stable: int | None = None) -> Passage:
    """What a segment says: words with their begins, `stable` characters of which never change."""
    words = tuple(Word(word, at, at + 0.04, 0.5) for at, word in said)
    text = " ".join(word.word for word in words)
    return Passage(text, text if stable is None else text[:stable], words, start, end)


@dataclass
class Channel:
    parameters: Parameters
    messages: list[ServerMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.transcript = ChannelTranscript((0, 1), METADATA, self.parameters)

    def finals(self) -> list[Results]:
        return [m for m in self.messages if isinstance(m, Results) and m.is_final]

    def text(self) -> str:
        return " ".join(t for m in self.finals() if (t := m.channel.alternatives[0].transcript))


@st.composite
def segments(draw: st.DrawFn) -> list[tuple[float, list[tuple[float, str]]]]:
    """Ends of segments, and the words of each."""
    ends, now = [], 0.0
    for _ in range(draw(st.integers(1, 4))):
        words = []
        for _ in range(draw(st.integers(0, 8))):
            now += draw(st.sampled_from([0.04, 0.2, 0.9, 2.0]))
            words.append((now, draw(st.sampled_from(["a", "bc", "def"]))))
        now += draw(st.sampled_from([0.04, 0.6, 3.0]))
        ends.append((now, words))
    return ends


@given(segments=segments(), data=st.data())
def test_finals_tile_and_give_the_text(
    segments: list[tuple[float, list[tuple[float, str]]]], data: st.DataObject
) -> None:
    channel, start, wanted = Channel(Parameters(endpointing=PAUSE, interim_results=True, utterance_end=1.0)), 0.0, []
    for number, (end, words) in enumerate(segments):
        stable, last = 0, number == len(segments) - 1
        if words:
            channel.messages += channel.transcript.speech_started(words[0][0])
        for count in range(1, len(words) + 1):
            heard = passage(start, min(words[count - 1][0] + 0.3, end), words[:count])
            stable = data.draw(st.integers(stable, len(heard.text)))
            channel.messages += channel.transcript.partial(passage(start, heard.end, words[:count], stable))
        channel.messages += channel.transcript.final(passage(start, end, words), flushed=last)
        wanted += [word for _, word in words]
        start = end
    assert channel.text() == " ".join(wanted)
    finals, at = channel.finals(), 0.0
    for final in finals:
        assert final.start == pytest.approx(at, abs=1e-6)
        at = final.start + final.duration
    assert at == pytest.approx(start, abs=2e-3)
    interim_end = 0.0
    for message in channel.messages:
        if isinstance(message, Results):
            assert message.start == pytest.approx(interim_end, abs=1e-6)
            interim_end = message.start + message.duration if message.is_final else interim_end
    spoken = [m for m in finals if m.channel.alternatives[0].transcript]
    if spoken:
        assert any(m.speech_final for m in finals[finals.index(spoken[-1]) :]), "no word waits for its end for ever"
    begins = [at for _, words in segments for at, _ in words]
    ends = [round(one + 0.04, 3) for one, following in itertools.pairwise(begins) if following - one > 1.04]
    told = [m.last_word_end for m in channel.messages if isinstance(m, UtteranceEnd)]
    assert set(told) <= {*ends, *([round(begins[-1] + 0.04, 3)] if begins else [])}
    assert told == sorted(told)


def test_a_word_that_may_go_on_is_not_final() -> None:
    channel = Channel(Parameters(interim_results=True))
    words = [(1.0, "one"), (2.0, "two"), (4.5, "thr")]
    channel.messages += channel.transcript.partial(passage(0.0, 5.0, words))
    assert channel.text() == "one two"
    assert channel.finals()[0].duration == 2.04
    interim = channel.messages[-1]
    assert isinstance(interim, Results)
    assert (interim.channel.alternatives[0].transcript, interim.start) == ("thr", 2.04)
    channel.messages += channel.transcript.final(passage(0.0, 6.0, [*words[:2], (4.5, "three")]), flushed=False)
    assert channel.text() == "one two three"


def test_speech_is_final_once_and_only_behind_words() -> None:
    channel = Channel(Parameters(endpointing=PAUSE))
    for number, words in enumerate([[], [(2.5, "one")], [], [(7.0, "two")], []]):
        channel.messages += channel.transcript.final(passage(2.0 * number, 2.0 * number + 2, words), flushed=False)
    assert [m.speech_final for m in channel.finals()] == [False, True, False, True, False]
    cut = Channel(Parameters(endpointing=PAUSE))
    cut.messages += cut.transcript.final(passage(0.0, 20.0, [(19.8, "cut")]), flushed=False)
    cut.messages += cut.transcript.final(passage(20.0, 22.4, []), flushed=False)
    assert [m.speech_final for m in cut.finals()] == [False, True], "its length ended the first"
    never = Channel(Parameters(endpointing=None))
    never.messages += never.transcript.final(passage(0.0, 9.0, [(1.0, "one")]), flushed=False)
    assert not never.finals()[0].speech_final
