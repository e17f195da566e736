"""What a session hears, as the turns of a realtime conversation. Each turn becomes an item with its transcript."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from math import log

from msgspec import UNSET

from emf.runtime.recognition.result import Word
from emf.serve.openai import server_messages as messages
from emf.serve.openai.errors import failure_error
from emf.serve.openai.server_messages import ServerMessage
from emf.serve.openai.session_config import SessionConfig
from emf.serve.session.events import Ended, Event, Failed, Final, Flushed, Note, SpeechStarted, StableGrew

_SHORTEST_COMMIT = 0.1
"""Seconds of audio; OpenAI refuses to commit less."""
_MOST_WORDS = 300
"""Of which a message tells more than the text: clients and proxies refuse long messages."""
_LEAST_CONFIDENCE = 1e-6
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """The client ends a turn; `seconds` of audio came before it."""

    seconds: float
    event_id: str | None


@dataclass(frozen=True, slots=True)
class ClearRequest:
    """The client gives up a turn; `seconds` of audio came before it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Updated:
    """The session has these settings from here on; `is_beta` is the shape of the answer."""

    config: SessionConfig
    is_beta: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """The client sent what makes no sense."""

    details: messages.ErrorDetails


@dataclass(slots=True)
class _Turn:
    """A turn that has not ended.

    Attributes:
        is_open: a segment of it has not ended.
    """

    item_id: str
    text: str = ""
    words: list[Word] = field(default_factory=list)
    is_open: bool = False


class Turns:
    """Makes the messages for a client of a session's events.

    Attributes:
        requests: commits and clears that the client sent and that are not answered yet.
    """

    def __init__(self, config: SessionConfig, is_beta: bool) -> None:
        self._config, self._is_beta = config, is_beta
        self._turn: _Turn | None = None
        self._previous: str | None = None
        self._ended_at = 0.0
        self._name, self._events, self._items = config.id.removeprefix("sess_"), count(1), count(1)
        self.requests = 0

    def begin(self) -> ServerMessage:
        """The first message."""
        if self._is_beta:
            return messages.BetaSessionCreated(self._event_id(), self._config.as_beta_session())
        return messages.SessionCreated(self._event_id(), self._config.as_session())

    def take(self, event: Event) -> Iterable[ServerMessage]:
        """What to tell the client of an event."""
        match event:
            case SpeechStarted(time=time):
                return self._speech_started(time)
            case StableGrew(text=text, continues=continues):
                return [self._grown(text, continues)]
            case Final():
                return self._final(event)
            case Flushed(name=request) | Note(content=request):
                return self._answer(request)
            case Failed() | Ended():
                return self._end(event)
            case _:
                return ()

    def _speech_started(self, time: float) -> Iterator[ServerMessage]:
        was_open = self._turn is not None and self._turn.is_open
        turn = self._begun()
        turn.is_open = True
        if self._config.turn_detection is not None and not was_open:
            begin = max(time - self._config.prefix_seconds, self._ended_at)
            yield messages.SpeechStarted(self._event_id(), turn.item_id, round(1e3 * begin))

    def _grown(self, text: str, continues: bool) -> ServerMessage:
        turn = self._begun()
        delta = text if continues or not turn.text else f" {text}"
        turn.text += delta
        return messages.Delta(self._event_id(), turn.item_id, delta)

    def _final(self, final: Final) -> Iterator[ServerMessage]:
        turn = self._turn
        if turn is None:
            return
        turn.words += final.passage.words
        turn.is_open = False
        detects = self._config.turn_detection is not None
        if not detects or (final.flushed and self.requests):
            return  # the client ends the turn
        end = final.passage.end
        yield messages.SpeechStopped(self._event_id(), turn.item_id, round(1e3 * end))
        yield from self._finish(turn, end)

    def _answer(self, request: object) -> Iterator[ServerMessage]:
        match request:
            case CommitRequest(seconds, event_id):
                self.requests -= 1
                yield from self._commit(seconds, event_id)
            case ClearRequest(seconds):
                self.requests -= 1
                self._turn, self._ended_at = None, seconds
                yield messages.Cleared(self._event_id())
            case Updated(config, is_beta):
                self._config, self._is_beta = config, is_beta
                if is_beta:
                    yield messages.BetaSessionUpdated(self._event_id(), config.as_beta_session())
                else:
                    yield messages.SessionUpdated(self._event_id(), config.as_session())
            case Problem(details):
                yield messages.Error(self._event_id(), details)

    def _commit(self, seconds: float, event_id: str | None) -> Iterator[ServerMessage]:
        waiting = seconds - self._ended_at
        if self._turn is None and waiting < _SHORTEST_COMMIT:
            message = (
                f"Error committing input audio buffer: buffer too small. Expected at least {1e3 * _SHORTEST_COMMIT:.0f}"
                f"ms of audio, but buffer only has {1e3 * max(waiting, 0.0):.2f}ms of audio."
            )
            code = "input_audio_buffer_commit_empty"
            details = messages.ErrorDetails("invalid_request_error", code, message, event_id=event_id)
            yield messages.Error(self._event_id(), details)
            return
        yield from self._finish(self._begun(), seconds)

    def _end(self, event: Failed | Ended) -> Iterator[ServerMessage]:
        turn = self._turn
        if turn is not None and turn.text and not turn.is_open:
            yield from self._finish(turn, turn.words[-1].end if turn.words else self._ended_at)
        details = failure_error(event) if isinstance(event, Failed) else None
        if details is not None:
            yield messages.Error(self._event_id(), details)

    def _finish(self, turn: _Turn, end: float) -> Iterator[ServerMessage]:
        """The turn ends at `end`, in seconds, and becomes an item."""
        item, previous = messages.Item(turn.item_id), self._previous
        yield messages.Committed(self._event_id(), item.id, previous)
        if self._is_beta:
            yield messages.ItemCreated(self._event_id(), item, previous)
        else:
            yield messages.ItemAdded(self._event_id(), item, previous)
            yield messages.ItemDone(self._event_id(), item, previous)
        length = round(max(end - self._ended_at, 0.0), _DIGITS)
        is_short = len(turn.words) <= _MOST_WORDS
        yield messages.Completed(
            self._event_id(),
            item.id,
            turn.text,
            messages.Usage(length),
            [_word(word) for word in turn.words] if is_short else UNSET,
            logprobs(turn.words) if is_short and self._config.wants_logprobs else UNSET,
        )
        self._turn, self._previous, self._ended_at = None, item.id, end

    def _begun(self) -> _Turn:
        """The turn that goes on, or a new one."""
        if self._turn is None:
            self._turn = _Turn(f"item_{self._name}_{next(self._items)}")
        return self._turn

    def _event_id(self) -> str:
        return f"event_{self._name}_{next(self._events)}"


def logprobs(words: Iterable[Word]) -> list[messages.LogProb]:
    """The words as OpenAI's tokens, each with the logarithm of its confidence."""
    return [
        messages.LogProb(
            word.word, list(word.word.encode()), round(log(max(word.confidence, _LEAST_CONFIDENCE)), _DIGITS)
        )
        for word in words
    ]


def _word(word: Word) -> messages.Word:
    return messages.Word(
        word.word, round(word.start, _DIGITS), round(word.end, _DIGITS), round(word.confidence, _DIGITS)
    )
