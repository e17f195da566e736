"""What a client is told of one channel: tiles of its audio that are final, and what is said behind them."""

from collections.abc import Iterator

from emf.runtime.recognition.result import Word
from emf.serve.deepgram.messages import (
    Channel,
    RequestMetadata,
    Results,
    ServerMessage,
    SpeechStarted,
    UtteranceEnd,
)
from emf.serve.deepgram.parameters import Parameters
from emf.serve.deepgram.words import alternative, seconds
from emf.serve.session.events import Passage

_LONGEST_TILE = 4.0
"""Seconds after which stable words become final, though their segment goes on."""
_ROUNDING = 1e-3


class ChannelTranscript:
    """Makes messages of one channel's events. Its finals tile the audio, and joined they give its text."""

    def __init__(self, index: tuple[int, int], metadata: RequestMetadata, parameters: Parameters) -> None:
        """Begin at second 0; `index` is the channel, and how many there are."""
        self._index, self._metadata, self._parameters = index, metadata, parameters
        self._start = 0.0
        self._said = 0
        """Words of the open segment that are final."""
        self._has_spoken = False
        """Whether words are final since speech was final."""
        self._last_word_end: float | None = None
        """Of final words that `UtteranceEnd` may follow."""

    def speech_started(self, time: float) -> Iterator[ServerMessage]:
        """A segment's first word begins."""
        yield from self.silent_until(time)
        self._last_word_end = None
        if self._parameters.vad_events:
            yield SpeechStarted(self._index, seconds(time))

    def silent_until(self, time: float) -> Iterator[ServerMessage]:
        """No word begins before this time behind those that are final."""
        gap, last = self._parameters.utterance_end, self._last_word_end
        if gap is not None and last is not None and time - last >= gap - _ROUNDING:
            self._last_word_end = None
            yield UtteranceEnd(self._index, seconds(last))

    def partial(self, passage: Passage) -> Iterator[ServerMessage]:
        """An open segment says something new."""
        closed = _closed_words(passage)
        if closed > self._said and passage.end - self._start >= _LONGEST_TILE:
            words = passage.words
            end = min(words[closed - 1].end, *(word.start for word in words[closed : closed + 1]), passage.end)
            yield self._final(passage.words[self._said : closed], end, speech_final=False)
            self._said = closed
        rest = passage.words[self._said :]
        if rest and self._parameters.interim_results:
            yield self._results(rest, self._text(passage), passage.end, is_final=False, speech_final=False)

    def final(self, passage: Passage, flushed: bool, from_finalize: bool | None = None) -> Iterator[ServerMessage]:
        """A segment has ended.

        Args:
            passage: all of it.
            flushed: by the end of the audio, a long silence or a request, not by an endpoint.
            from_finalize: by a request: whether that was `Finalize`.
        """
        rest, text = passage.words[self._said :], self._text(passage)
        self._has_spoken = self._has_spoken or bool(rest)
        ends_speech = from_finalize is None if flushed else self._ends_in_silence(passage)
        speech_final = ends_speech and self._has_spoken
        if rest or speech_final or from_finalize or passage.end > self._start + _ROUNDING:
            yield self._final(rest, passage.end, speech_final, bool(from_finalize), text)
        self._said = 0
        if passage.words:
            self._last_word_end = passage.words[-1].end
        yield from self.silent_until(passage.end)

    def finalized(self) -> ServerMessage:
        """The answer to `Finalize` where no audio came since the last final."""
        return self._final((), self._start, speech_final=False, from_finalize=True)

    def _ends_in_silence(self, passage: Passage) -> bool:
        """Whether a pause ended the segment, and not its length; and whether the client asked for pauses."""
        if self._parameters.endpointing is None:
            return False
        last = passage.words[-1].end if passage.words else passage.start
        return passage.end - last >= self._parameters.pause - _ROUNDING

    def _text(self, passage: Passage) -> str | None:
        """The passage's own text, where all of it is told at once."""
        return None if self._said else passage.text

    def _final(
        self,
        words: tuple[Word, ...],
        end: float,
        speech_final: bool,
        from_finalize: bool = False,
        text: str | None = None,
    ) -> ServerMessage:
        end = max(end, self._start)
        made = self._results(words, text, end, is_final=True, speech_final=speech_final, from_finalize=from_finalize)
        self._start = end
        self._has_spoken = (self._has_spoken or bool(words)) and not speech_final
        return made

    def _results(
        self,
        words: tuple[Word, ...],
        text: str | None,
        end: float,
        *,
        is_final: bool,
        speech_final: bool,
        from_finalize: bool = False,
    ) -> ServerMessage:
        start = seconds(self._start)
        return Results(
            channel_index=self._index,
            duration=seconds(max(seconds(end) - start, 0.0)),
            start=start,
            is_final=is_final,
            speech_final=speech_final,
            channel=Channel([alternative(words, text)]),
            metadata=self._metadata,
            from_finalize=from_finalize,
        )


def _closed_words(passage: Passage) -> int:
    """How many words of a passage never change again, nor grow."""
    stable, text = passage.stable_text, passage.text
    if " ".join(word.word for word in passage.words) != text:
        return 0
    count = len(stable.split())
    is_closed = stable.endswith(" ") or text[len(stable) :].startswith(" ")
    return max(count if is_closed else count - 1, 0)
