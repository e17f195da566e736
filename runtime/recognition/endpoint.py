"""When a segment has ended: the field's three rules, applied to the best hypothesis."""

from dataclasses import dataclass

from emf.runtime.options import check_options, option
from emf.runtime.recognition.stream_state import StreamState


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """Lengths in seconds; any rule that holds ends the segment.

    The rules look at the best hypothesis alone, at the end of every step. So an endpoint comes with the first
    step after which a rule holds, however many hypotheses disagree. `Recognizer.reset` says what becomes of them.
    """

    silence_before_speech: float = option(
        2.4, "End a segment after this much silence while nothing has been said.", above=0.0, high=86_400.0
    )
    silence_after_speech: float = option(
        1.2, "End a segment after this much silence behind something that was said.", above=0.0, high=86_400.0
    )
    max_length: float = option(
        20.0,
        "End a segment at this length; it may fall within a word, which the next segment then continues.",
        above=0.0,
        high=86_400.0,
    )

    def __post_init__(self) -> None:
        check_options(self)

    def end_segment(self, state: StreamState, seconds_per_frame: float) -> bool:
        """Whether a stream's segment has ended: a rule holds for its best hypothesis."""
        search, start = state.search, state.clock.segment_start
        emitted, now = search.best.emissions.frames or state.emitted.frames, search.num_frames
        return self.ends(
            has_speech=bool(emitted),
            silence=(now - (emitted[-1] + 1 if emitted else start)) * seconds_per_frame,
            length=(now - start) * seconds_per_frame,
        )

    def ends(self, has_speech: bool, silence: float, length: float) -> bool:
        """Whether a rule holds.

        Args:
            has_speech: something was said in it.
            silence: seconds since the last token, or since its start.
            length: seconds since its start.
        """
        limit = self.silence_after_speech if has_speech else self.silence_before_speech
        return silence >= limit or length >= self.max_length
