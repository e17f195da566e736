"""Recordings to text: the streaming loop over blocks of audio, several recordings as one batch."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from emf.runtime.arrays import FloatArray
from emf.runtime.errors import EmfError
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.recognition.result import Result, Word
from emf.runtime.recognition.stream import Stream

Blocks = Iterable[tuple[int, FloatArray]]
OnPartial = Callable[[Result], None]


@dataclass(frozen=True)
class Transcription:
    """A recording's segments and its length in seconds."""

    path: Path
    text: str
    segments: tuple[Result, ...]
    duration_s: float

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments."""
        return tuple(chain.from_iterable(segment.words for segment in self.segments))

    def as_document(self) -> dict[str, Any]:
        """One entry of `results`."""
        return {
            "path": str(self.path),
            "text": self.text,
            "duration_s": self.duration_s,
            "segments": [_segment_document(segment) for segment in self.segments if segment.text],
            "words": [asdict(word) for word in self.words],
        }


def _segment_document(segment: Result) -> dict[str, Any]:
    return {
        "segment": segment.segment,
        "start": segment.words[0].start if segment.words else segment.start_time,
        "end": segment.words[-1].end if segment.words else segment.start_time,
        "text": segment.text,
    }


@dataclass(frozen=True)
class Failure:
    """A recording that could not be read to its end."""

    path: Path
    error: Exception


@dataclass
class _Recording:
    path: Path
    blocks: Iterator[tuple[int, FloatArray]]
    stream: Stream
    segments: list[Result] = field(default_factory=list)
    duration_s: float = 0.0
    error: Exception | None = None

    def feed(self) -> None:
        """Give the stream the next block, or tell it that there is none."""
        block = next(self.blocks, None)
        if block is None:
            self.stream.input_finished()
            return
        rate, samples = block
        self.stream.accept_waveform(rate, samples)
        self.duration_s += len(samples) / rate

    @property
    def has_ended(self) -> bool:
        """Whether all of it is decoded, or no more of it can be read."""
        return self.error is not None or self.stream.is_final

    def feed_or_fail(self) -> None:
        """Feed; what is wrong with the audio is kept in `error`."""
        try:
            self.feed()
        except (EmfError, OSError, UnicodeError) as error:
            self.error = error


def transcribe_recordings(
    recognizer: Recognizer, recordings: Sequence[tuple[Path, Blocks]], on_partial: OnPartial | None = None
) -> tuple[list[Transcription], float]:
    """Stream recordings through the recognizer together, as they are read.

    Args:
        recognizer: what to use; with `EndpointRules`, recordings are cut into segments.
        recordings: name and blocks (sample rate, samples) of each, as `read_blocks` gives them.
        on_partial: called after every step with the result so far of each stream decoded.

    Returns:
        Transcriptions in the same order, and the seconds spent decoding (reading not counted).

    Raises:
        AudioError, OSError: a recording cannot be read; see `transcribe_each` to go on with the others.
    """
    transcriptions: list[Transcription] = []
    found, spent = transcribe_each(recognizer, recordings, on_partial)
    for one in found:
        if isinstance(one, Failure):
            raise one.error
        transcriptions.append(one)
    return transcriptions, spent


def transcribe_each(
    recognizer: Recognizer,
    recordings: Sequence[tuple[Path, Blocks]],
    on_partial: OnPartial | None = None,
    live: bool = False,
) -> tuple[list[Transcription | Failure], float]:
    """As `transcribe_recordings`, but a recording that cannot be read leaves the others alone.

    `live` audio is decoded as soon as it has come, a segment at a time.
    """
    streams = [recognizer.create_stream(recording=not live) for _ in recordings]
    all_recordings = [
        _Recording(path, iter(blocks), stream) for (path, blocks), stream in zip(recordings, streams, strict=True)
    ]
    active = list(all_recordings)
    spent = 0.0
    while active:
        spent += _advance(recognizer, active, on_partial)
        active = [recording for recording in active if not recording.has_ended]
    return [_finished(recognizer, recording) for recording in all_recordings], spent


def transcribe_all(
    recognizer: Recognizer, recordings: Iterable[tuple[Path, Blocks] | None], width: int
) -> Iterator[tuple[int, Transcription | Failure]]:
    """Stream any number of recordings through the recognizer, `width` at a time; one that ends makes room for the next.

    Args:
        recognizer: as for `transcribe_recordings`.
        recordings: taken when there is room. `None` stands for one that is not there yet: the recordings at hand go
            on before it is asked for again, so it may come only where there are some.
        width: recordings to decode together at the most.

    Yields:
        What came of each recording, in the order in which they end, with its place among the recordings taken.
    """
    source, taken = iter(recordings), count()
    active: dict[int, _Recording] = {}
    while True:
        for one in islice(source, width - len(active)):
            if one is None:
                break
            path, blocks = one
            active[next(taken)] = _Recording(path, iter(blocks), recognizer.create_stream(recording=True))
        if not active:
            return
        _advance(recognizer, list(active.values()))
        for place in [place for place, recording in active.items() if recording.has_ended]:
            yield place, _finished(recognizer, active.pop(place))


def _advance(recognizer: Recognizer, recordings: Sequence[_Recording], on_partial: OnPartial | None = None) -> float:
    """Feed each recording a block and decode what is ready; the seconds spent decoding."""
    for recording in recordings:
        recording.feed_or_fail()
    active = [recording for recording in recordings if recording.error is None]
    begin = time.perf_counter()
    while ready := [recording for recording in active if recognizer.is_ready(recording.stream)]:
        recognizer.decode_streams([recording.stream for recording in ready])
        for recording in ready:
            _after_step(recognizer, recording, on_partial)
    return time.perf_counter() - begin


def _after_step(recognizer: Recognizer, recording: _Recording, on_partial: OnPartial | None) -> None:
    if on_partial:
        on_partial(recognizer.get_result(recording.stream))
    if recognizer.is_endpoint(recording.stream) and not recording.stream.is_final:
        recording.segments.append(recognizer.reset(recording.stream))


def _finished(recognizer: Recognizer, recording: _Recording) -> Transcription | Failure:
    if recording.error is not None:
        return Failure(recording.path, recording.error)
    segments = (*recording.segments, recognizer.get_result(recording.stream))
    tokens = chain.from_iterable(segment.token_ids for segment in segments)
    return Transcription(recording.path, recognizer.tokens.text(tokens), segments, recording.duration_s)
