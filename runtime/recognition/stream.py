"""One speaker's audio on its way to text: everything that a recognizer must remember of it."""

import numpy as np
import numpy.typing as npt

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.resampler import Resampler
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.audio.samples import check_sample_rate, to_mono_float
from emf.runtime.errors import AudioError, UsageError
from emf.runtime.inference.transducer import EncoderState
from emf.runtime.recognition.snapshot import take_snapshot
from emf.runtime.recognition.stream_settings import StreamSettings
from emf.runtime.recognition.transcript import Spelling, Transcript
from emf.runtime.search.hypothesis import SearchState, commit, common_prefix_length, settle


class Stream:
    """State of one stream: audio not yet consumed, encoder state, hypotheses, clock.

    Made by `Recognizer.create_stream`. Belongs to one thread at a time. Only `accept_waveform`,
    `input_finished` and `snapshot` are meant for callers; a recognizer moves the rest.
    """

    def __init__(self, settings: StreamSettings, encoder_state: EncoderState, search_state: SearchState) -> None:
        """Start before any audio, with the states that belong there."""
        self.settings = settings
        self.resampler: Resampler | None = None
        self.buffer = SampleBuffer(np.zeros(0, np.float32))
        self.encoder_state, self.search_state = encoder_state, search_state
        self.step = 0
        self.segment = 0
        self.segment_start_frame = 0
        self.tokens: list[int] = []
        self.timestamps: list[int] = []
        self.log_probs: list[float] = []
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
        if self.buffer.finished:
            raise UsageError("expected no audio after input_finished; create a new stream for it")
        rate, mono = check_sample_rate(sample_rate), to_mono_float(samples)
        if self.resampler is None:
            self.resampler = Resampler(rate, self.settings.sample_rate)
        if rate != self.resampler.source_rate:
            raise AudioError(
                f"expected {self.resampler.source_rate} Hz as in the first call for this stream, found {rate} Hz; "
                "create a new stream for audio of another rate"
            )
        self.buffer.append(self.resampler(mono))

    def input_finished(self) -> None:
        """Declare the audio complete: what remains is decoded up to its last sample."""
        if self.buffer.finished:
            return
        if self.resampler is not None:
            self.buffer.append(self.resampler(np.zeros(0, np.float32), last=True))
        if self.buffer.end:
            tail = round(self.settings.tail_padding * self.settings.sample_rate)
            self.buffer.append(np.zeros(tail, np.float32))
        self.buffer.finished = True

    def snapshot(self) -> bytes:
        """All of the stream's state, to go on elsewhere: `Recognizer.restore_stream` takes it."""
        return take_snapshot(self, self.settings.identity)

    @property
    def is_ready(self) -> bool:
        """Whether the audio of a whole step is there."""
        return self.settings.extractor.is_ready(self.buffer, self.step)

    @property
    def is_final(self) -> bool:
        """Whether the audio has ended and all of it is decoded."""
        return self.buffer.finished and not self.is_ready

    def features(self) -> FloatArray:
        """Features of the next step, shape (frames, n_mels)."""
        return self.settings.extractor.extract(self.buffer, self.step)

    def advance(self, search_state: SearchState) -> None:
        """Take the search's result of a step; keep what all hypotheses agree on."""
        if self.settings.stable_frames is not None:
            search_state = settle(search_state, search_state.num_frames - self.settings.stable_frames)
        count = common_prefix_length(search_state.hypotheses)
        best = search_state.hypotheses[0]
        self.tokens += best.tokens[:count]
        self.timestamps += best.timestamps[:count]
        self.log_probs += best.log_probs[:count]
        self.search_state = commit(search_state, count)
        self.step += 1
        self.buffer.drop_before(self.settings.extractor.first_sample(self.step))

    def committed(self, spelling: Spelling) -> Transcript:
        """What all hypotheses agree on; only what is new since the last call is spelt out."""
        known = len(self.transcript.token_ids)
        self.transcript = self.transcript.extended(
            spelling, self.tokens[known:], self.timestamps[known:], self.log_probs[known:]
        )
        return self.transcript

    def begin_segment(self) -> None:
        """Commit the best hypothesis and go on with an empty text; all other state carries on."""
        best = self.search_state.hypotheses[0]
        settled = settle(self.search_state, self.search_state.num_frames)
        self.search_state = commit(settled, len(best.tokens))
        self.tokens, self.timestamps, self.log_probs = [], [], []
        self.transcript = Transcript()
        self.segment += 1
        self.segment_start_frame = self.search_state.num_frames
