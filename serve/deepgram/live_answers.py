"""A live session's events as messages, in the order in which Deepgram sends them."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emf.serve.deepgram.channel_transcript import ChannelTranscript
from emf.serve.deepgram.messages import KEYTERM_LIMIT, ConfigureFailure, ConfigureSuccess, Error, ServerMessage
from emf.serve.deepgram.parameters import Parameters
from emf.serve.deepgram.request import Request
from emf.serve.session.audio_format import AudioFormat
from emf.serve.session.events import Complaint, Event, Final, Flushed, Kept, Partial, SpeechStarted


@dataclass(frozen=True, slots=True)
class Finalizing:
    """Names a flush that `Finalize` asked for."""


@dataclass(frozen=True, slots=True)
class Configuring:
    """Names a flush that `Configure` asked for.

    Attributes:
        keyterms: that are in effect behind it; `None` leaves them as they were.
    """

    keyterms: Sequence[str] | None


class LiveAnswers:
    """Makes messages of the events of one session."""

    def __init__(self, request: Request, parameters: Parameters, form: AudioFormat) -> None:
        """Answer a `request` whose audio has this `form`."""
        self._request, self._rate = request, form.sample_rate
        count = form.num_streams
        self._channels = [ChannelTranscript((i, count), request.metadata, parameters) for i in range(count)]
        self._asked: deque[Finalizing | Configuring] = deque()
        self._flushed: set[int] = set()
        """Channels that gave a final for the first of `_asked`."""

    def ask(self, name: Finalizing | Configuring) -> None:
        """The session is about to be flushed by this name."""
        self._asked.append(name)

    def messages(self, event: Event) -> Iterator[ServerMessage]:
        """What a client is told of an event."""
        match event:
            case SpeechStarted(channel, _, time):
                yield from self._channels[channel].speech_started(time)
            case Partial(channel, _, passage):
                yield from self._channels[channel].partial(passage)
            case Final(channel, _, passage, flushed):
                asked = self._asked[0] if flushed and self._asked else None
                from_finalize = None if asked is None else isinstance(asked, Finalizing)
                if asked is not None:
                    self._flushed.add(channel)
                yield from self._channels[channel].final(passage, flushed, from_finalize)
            case Kept(samples):
                for one in self._channels:
                    yield from one.silent_until(samples / self._rate)
            case Flushed(name):
                yield from self._flush_done(name)
            case Complaint(code, text) if code == KEYTERM_LIMIT:
                yield ConfigureFailure(self._request.id, code, text)
            case Complaint(variant, text):
                description, _, original = text.partition("\n")
                yield Error(variant, description, original)
            case _:
                return

    def _flush_done(self, name: object) -> Iterator[ServerMessage]:
        self._asked.popleft()
        done, self._flushed = self._flushed, set()
        if isinstance(name, Configuring):
            keyterms = None if name.keyterms is None else list(name.keyterms)
            yield ConfigureSuccess(self._request.id, keyterms)
            return
        for channel, one in enumerate(self._channels):
            if channel not in done:
                yield one.finalized()
