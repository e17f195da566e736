"""When a segment has ended: the field's three rules, applied to the best hypothesis."""

from dataclasses import dataclass

from emf.runtime.errors import UsageError
from emf.runtime.recognition.stream_state import StreamState


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """Lengths in seconds; any rule that holds ends the segment.

    The rules look at the best hypothesis alone, at the end of every step. So an endpoint comes with the first
    step after which a rule holds, however many hypotheses disagree. `Recognizer.reset` says what becomes of them.

    Attributes:
        silence_before_speech: silence while nothing has been said.
        silence_after_speech: silence after something was said.
        max_length: length of a segment; this end may fall within a word, which the next segment then continues.
    """

    silence_before_speech: float = 2.4
    silence_after_speech: float = 1.2
    max_length: float = 20.0

    def __post_init__(self) -> None:
        """Refuse lengths that make no sense."""
        for name in self.__dataclass_fields__:
            if not 0.0 < getattr(self, name) <= 86_400.0:
                raise UsageError(f"expected {name} from 0 to 86400 seconds, found {getattr(self, name)}")

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
