"""One speaker's audio on its way to text: everything that a recognizer must remember of it."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from emf.runtime.audio import Resampler, check_sample_rate, to_mono_float
from emf.runtime.errors import AudioError, UsageError
from emf.runtime.features import FeatureExtractor, SampleBuffer
from emf.runtime.search import SearchState, commit, common_prefix_length
from emf.runtime.session import FloatArray
from emf.runtime.transducer import EncoderState


class Stream:
    """State of one stream: audio not yet consumed, encoder state, hypotheses, clock.

    Made by `Recognizer.create_stream`. Belongs to one thread at a time. Only `accept_waveform`
    and `input_finished` are meant for callers; a recognizer moves the rest.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        sample_rate: int,
        tail_padding: float,
        initial: Callable[[], tuple[EncoderState, SearchState]],
    ) -> None:
        """Start at silence.

        Args:
            extractor: turns audio into the encoder's steps.
            sample_rate: the model's, in Hz.
            tail_padding: silence to append when the audio ends, seconds.
            initial: gives the encoder's and the search's state before any audio.
        """
        self._extractor = extractor
        self._sample_rate = sample_rate
        self._tail_samples = round(tail_padding * sample_rate)
        self._resampler: Resampler | None = None
        self.buffer = SampleBuffer(np.zeros(0, np.float32))
        self.encoder_state, self.search_state = initial()
        self.step = 0
        self.segment = 0
        self.segment_start_frame = 0
        self.tokens: list[int] = []
        self.timestamps: list[int] = []
        self.log_probs: list[float] = []

    def accept_waveform(self, sample_rate: int, samples: npt.ArrayLike) -> None:
        """Add audio, of any length, also none.

        Args:
            sample_rate: in Hz, the same at every call; resampled where it is not the model's.
            samples: shape (n,) or (n, channels), float in [-1, 1], int16 or int32.

        Raises:
            AudioError: unusable audio or a changed sample rate; the stream stays as it was.
            UsageError: the input was declared finished.
        """
        if self.buffer.finished:
            raise UsageError("expected no audio after input_finished; create a new stream for it")
        rate, mono = check_sample_rate(sample_rate), to_mono_float(samples)
        if self._resampler is None:
            self._resampler = Resampler(rate, self._sample_rate)
        if rate != self._resampler.source_rate:
            raise AudioError(
                f"expected {self._resampler.source_rate} Hz as in the first call for this stream, found {rate} Hz; "
                "create a new stream for audio of another rate"
            )
        self.buffer.append(self._resampler(mono))

    def input_finished(self) -> None:
        """Declare the audio complete: what remains is decoded up to its last sample."""
        if self.buffer.finished:
            return
        if self._resampler is not None:
            self.buffer.append(self._resampler(np.zeros(0, np.float32), last=True))
        if self.buffer.end:
            self.buffer.append(np.zeros(self._tail_samples, np.float32))
        self.buffer.finished = True

    @property
    def is_ready(self) -> bool:
        """Whether the audio of a whole step is there."""
        return self._extractor.is_ready(self.buffer, self.step)

    @property
    def is_final(self) -> bool:
        """Whether the audio has ended and all of it is decoded."""
        return self.buffer.finished and not self.is_ready

    def features(self) -> FloatArray:
        """Features of the next step, shape (frames, n_mels)."""
        return self._extractor.extract(self.buffer, self.step)

    def advance(self, search_state: SearchState) -> None:
        """Take the search's result of a step; keep what all hypotheses agree on."""
        count = common_prefix_length(search_state.hypotheses)
        best = search_state.hypotheses[0]
        self.tokens += best.tokens[:count]
        self.timestamps += best.timestamps[:count]
        self.log_probs += best.log_probs[:count]
        self.search_state = commit(search_state, count)
        self.step += 1
        self.buffer.drop_before(self._extractor.first_sample(self.step))

    def begin_segment(self) -> None:
        """Commit the best hypothesis and go on with an empty text; all other state carries on."""
        best = self.search_state.hypotheses[0]
        single = SearchState((best,), self.search_state.num_committed, self.search_state.num_frames)
        self.search_state = commit(single, len(best.tokens))
        self.tokens, self.timestamps, self.log_probs = [], [], []
        self.segment += 1
        self.segment_start_frame = self.search_state.num_frames
