"""Everything that a recognizer must remember of a stream, as one value with one owner."""

from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.resampler import Resampler
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.inference.encoder_state import EncoderState
from emf.runtime.search.agreement import commit, common_prefix_length, cut, settle
from emf.runtime.search.emissions import NOTHING, Emissions
from emf.runtime.search.hypothesis import SearchState


@dataclass(frozen=True, slots=True)
class StreamClock:
    """Where a stream is.

    Attributes:
        step: steps decoded so far; index of the next.
        segment: index of the segment, from 0.
        segment_start: encoder frame at which the segment begins.
    """

    step: int = 0
    segment: int = 0
    segment_start: int = 0


Encodings: TypeAlias = tuple[FloatArray, ...]
"""Of one or several segments, each of shape (frames, encoding_dim)."""


@dataclass(slots=True)
class StreamState:
    """The state of one stream. Its owner is the only one to change it.

    One thread may append to `audio` while another decodes; all else belongs to the thread that decodes.

    Attributes:
        encoder: keys and values of the past, that of the segments in `ahead` included.
        search: hypotheses.
        audio: samples that are not consumed yet, at the model's rate.
        resampler: brings audio to the model's rate; `None` before the first audio.
        emitted: tokens of the segment that all hypotheses agree on.
        clock: steps and segments.
        ahead: the next segments' encodings, where the encoder has taken several segments in one pass.
        in_passes: the encoder takes several segments of this stream in one pass, from its first segment on.
    """

    encoder: EncoderState
    search: SearchState
    audio: SampleBuffer = field(default_factory=lambda: SampleBuffer(np.zeros(0, np.float32)))
    resampler: Resampler | None = None
    emitted: Emissions = NOTHING
    clock: StreamClock = StreamClock()
    ahead: Encodings = ()
    in_passes: bool = False

    def advance(self, search: SearchState, stable_frames: int | None) -> None:
        """Take the search's result of a step, and keep what all hypotheses agree on.

        Args:
            search: the state after the step.
            stable_frames: encoder frames after which a disputed token is settled; `None` is never.
        """
        if stable_frames is not None:
            search = settle(search, search.num_frames - stable_frames)
        count = common_prefix_length(search.hypotheses)
        if count:
            self.emitted += search.best.emissions[:count]
        self.search = commit(search, count)
        self.clock = replace(self.clock, step=self.clock.step + 1)

    def begin_segment(self, tokens: tuple[int, ...]) -> None:
        """Begin an empty text; audio and encoder carry on, and so do the hypotheses that continue the old text.

        Those that continued it before this segment began are dropped: no dispute outlasts two segments. In a long
        silence, faint noise would otherwise add up to a word.

        Args:
            tokens: the old text, from its first token.
        """
        self.search = cut(self.search, tokens[len(self.emitted) :], self.clock.segment_start)
        self.emitted = NOTHING
        self.clock = replace(self.clock, segment=self.clock.segment + 1, segment_start=self.search.num_frames)
