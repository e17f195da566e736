"""The messages of a turn, without a server."""

from emf.runtime.recognition.result import Word
from emf.serve.openai.server_messages import encode
from emf.serve.openai.session_config import LOGPROBS, SessionConfig
from emf.serve.openai.turns import CommitRequest, Turns
from emf.serve.session.events import Event, Final, Flushed, Passage, SpeechStarted, StableGrew


def test_messages_stay_short_however_long_a_turn_is() -> None:
    """Beyond some words it tells the text alone."""
    for count in (300, 2_000):
        turns = Turns(SessionConfig("sess_1", 0, turn_detection=None, include=[LOGPROBS]), False)
        words = tuple(Word("something", 0.4 * place, 0.4 * place + 0.3, 0.987654) for place in range(count))
        text = " ".join(word.word for word in words)
        passage = Passage(text, text, words, 0.0, 0.4 * count)
        turns.requests = 1
        said: list[Event] = [SpeechStarted(0, 0, 0.0), StableGrew(0, 0, text), Final(0, 0, passage, True, 0.0)]
        said.append(Flushed(CommitRequest(0.4 * count, None)))
        told = [message for event in said for message in turns.take(event)]
        messages = [encode(message) for message in told]
        assert all(len(message) < 64 * 2**10 for message in messages)
        assert ('"words":' in messages[-1], '"logprobs":' in messages[-1]) == (count == 300, count == 300)
        assert text in messages[-1]
