"""One speaker's audio on its way to text: what a caller holds and feeds."""

import numpy as np
import numpy.typing as npt

from emf.runtime.audio.resampler import Resampler
from emf.runtime.audio.samples import check_sample_rate, to_mono_float
from emf.runtime.errors import AudioError, UsageError, require
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.snapshot import take_snapshot
from emf.runtime.recognition.stream_settings import StreamSettings
from emf.runtime.recognition.stream_state import StreamState
from emf.runtime.recognition.transcript import Transcript


class Stream:
    """A stream, made by `Recognizer.create_stream`. Belongs to one thread at a time.

    `accept_waveform`, `input_finished` and `snapshot` are for callers; a recognizer moves the state.

    Attributes:
        settings: shared by all streams of a recognizer.
        state: everything that must be remembered of this one.
        transcript: `state.emitted` spelled out, as far as it was asked for.
        endpoint: rules of this stream; `None` takes the recognizer's. No part of a snapshot.
    """

    def __init__(self, settings: StreamSettings, state: StreamState, endpoint: EndpointRules | None = None) -> None:
        self.settings = settings
        self.state = state
        self.endpoint = endpoint
        self.transcript = Transcript()

    def accept_waveform(self, sample_rate: int, samples: npt.ArrayLike) -> None:
        """Add audio, of any length, also none.

        Args:
            sample_rate: in Hz, the same at every call; resampled where it is not the model's.
            samples: shape (n,) or (n, channels), float in [-1, 1], int16 or int32.

        Raises:
            AudioError: unusable audio or a changed sample rate; the stream stays as it was.
            UsageError: the input was declared finished.
        """
        state = self.state
        if state.audio.finished:
            raise UsageError("expected no audio after input_finished; create a new stream for it")
        rate, mono = check_sample_rate(sample_rate), to_mono_float(samples)
        if state.resampler is None:
            state.resampler = Resampler(rate, self.settings.sample_rate)
        if rate != state.resampler.source_rate:
            raise AudioError(
                f"expected {state.resampler.source_rate} Hz as in the first call for this stream, found {rate} Hz; "
                "create a new stream for audio of another rate"
            )
        state.audio.append(state.resampler(mono))

    def input_finished(self) -> None:
        """Declare the audio complete: what remains is decoded up to its last sample."""
        audio, resampler = self.state.audio, self.state.resampler
        if audio.finished:
            return
        if resampler is not None:
            audio.append(resampler(np.zeros(0, np.float32), last=True))
        if audio.end:
            tail = round(self.settings.tail_padding * self.settings.sample_rate)
            audio.append(np.zeros(tail, np.float32))
        audio.finished = True

    @property
    def duration(self) -> float | None:
        """Length of the audio in seconds, without what was appended to it; `None` before it has ended."""
        audio, resampler = self.state.audio, self.state.resampler
        if not audio.finished:
            return None
        rate = self.settings.sample_rate
        length = max(audio.end - round(self.settings.tail_padding * rate), 0) / rate
        taken = resampler.seconds_taken if resampler else None
        return length if taken is None else min(length, taken)

    def snapshot(self) -> bytes:
        """All of the stream's state, to go on elsewhere: `Recognizer.restore_stream` takes it."""
        return take_snapshot(self.state, self.settings.identity)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to decode: a segment whose encodings or audio are there, or enough for a pass."""
        if self.state.ahead or self._has_segments(self.settings.segments if self.state.in_passes else 1):
            return True
        return self.state.audio.finished and self._has_segments(1)

    @property
    def is_in_passes(self) -> bool:
        """Whether the encoder takes several segments at once: a recording, or audio that was whole from the start.

        Passes begin at the first segment or never: in INT8 a pass rounds otherwise than single steps do, and what a
        recording says must not depend on when it is asked.
        """
        state = self.state
        return state.in_passes or (self.settings.segments > 1 and not state.clock.step and state.audio.finished)

    @property
    def takes_pass(self) -> bool:
        """Whether the encoder takes the next segments in one pass; else it takes one."""
        segments = self.settings.segments
        return segments > 1 and (self.is_in_passes or self.settings.catch_up) and self._has_segments(segments)

    def _has_segments(self, count: int) -> bool:
        """Whether the audio of so many segments is there, or has ended in the last of them."""
        return self.settings.extractor.is_ready(self.state.audio, self.state.clock.step + count - 1)

    @property
    def is_final(self) -> bool:
        """Whether the audio has ended and all of it is decoded."""
        return self.state.audio.finished and not self.is_ready


def require_stream(stream: object) -> None:
    """Refuse what is no stream.

    Raises:
        UsageError: naming what came.
    """
    require(stream, Stream, "a stream, such as Recognizer.create_stream gives")
