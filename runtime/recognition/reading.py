"""What a stream's state says as a `Result`."""

from collections.abc import Sequence
from dataclasses import replace

from emf.runtime.artifact.byte_fallback import read_spelling
from emf.runtime.recognition.result import Alternative, Result, Word
from emf.runtime.recognition.stream import Stream
from emf.runtime.recognition.transcript import Spelling
from emf.runtime.search.methods import end_words
from emf.runtime.search.options import SearchOptions


def read_result(stream: Stream, spelling: Spelling, options: SearchOptions, is_endpoint: bool) -> Result:
    """The result of a stream's current segment.

    Args:
        stream: its `transcript` takes over what is newly agreed on.
        spelling: how tokens are read.
        options: of the search.
        is_endpoint: the segment ends here, and with it the word that is open in each hypothesis.
    """
    is_final = stream.is_final  # once, and first: another thread may just be ending the stream's input
    state, clock = stream.state, stream.state.clock
    search = end_words(state.search, options) if is_final or is_endpoint else state.search
    committed = stream.transcript = stream.transcript.up_to(spelling, state.emitted)
    whole = committed.extended(spelling, search.best.emissions)

    def text(tokens: Sequence[int]) -> str:
        return read_spelling(spelling.table.continued(committed.spelled, tokens))

    return Result(
        text=whole.text,
        token_ids=whole.token_ids,
        tokens=whole.tokens,
        timestamps=whole.timestamps,
        log_probs=whole.log_probs,
        words=_within(whole.words(spelling), stream.duration, spelling.seconds_per_frame),
        score=search.best.score,
        is_final=is_final,
        stable_text=whole.text if is_final else committed.text,
        segment=clock.segment,
        start_time=clock.segment_start * spelling.seconds_per_frame,
        nbest=tuple(Alternative(text(h.tokens), h.score) for h in search.hypotheses),
        end_time=_end_time(state.search.num_frames * spelling.seconds_per_frame, stream.duration),
        ends_segment=is_final,
    )


def _end_time(decoded: float, duration: float | None) -> float:
    """Up to where audio is decoded, in seconds, without the silence appended to it."""
    return decoded if duration is None else min(decoded, duration)


def _within(words: tuple[Word, ...], duration: float | None, frame: float) -> tuple[Word, ...]:
    """No word lies behind the end of audio that has ended: frames, and the silence appended to it, reach further.

    A word that would begin there gets the last frame, as a word has a length; all in seconds.
    """
    if duration is None or not words or words[-1].end <= duration:
        return words
    latest = max(duration - frame, 0.0)
    return tuple(replace(word, start=min(word.start, latest), end=min(word.end, duration)) for word in words)
