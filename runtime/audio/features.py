"""From a stream's samples to the encoder's chunks of features, in two modes.

`windowed` is torchaudio's streaming extractor: each window of segment + right context is
transformed on its own, reflected at both of its edges. `continuous` gives the features of the
unbroken audio, as the model saw them in training. Both are pure functions of the samples and the
index of the step, so the way in which audio is cut cannot matter.
"""

from typing import Protocol

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Frontend, Geometry
from emf.runtime.audio.mel import LogMel
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.errors import UsageError

FRONTENDS = ("windowed", "continuous")


class FeatureExtractor(Protocol):
    """One way to cut a stream's audio into the encoder's steps."""

    def is_ready(self, buffer: SampleBuffer, step: int) -> bool:
        """Whether the audio for this step has come (or has ended, and the step still belongs to it)."""

    def extract(self, buffer: SampleBuffer, step: int) -> FloatArray:
        """Features of one step, shape (segment_length + right_context_length, n_mels)."""

    def first_sample(self, step: int) -> int:
        """Index of the first sample that this step and those after it need."""

    def end_sample(self, step: int) -> int:
        """Index one past the last sample that this step needs."""


class WindowedFeatures:
    """Each step's window on its own, as `RNNTBundle.get_streaming_feature_extractor` does it.

    A window starts at every multiple of the segment below the length of the audio; the last ones
    are padded with zeros. The window's surplus last frame, which the model's time reduction would
    drop, is not computed.
    """

    def __init__(self, frontend: Frontend, geometry: Geometry) -> None:
        self._log_mel = LogMel(frontend)
        self._num_frames = geometry.step_length
        self._segment = frontend.samples(geometry.segment_length)
        self._window = frontend.samples(geometry.step_length)

    def is_ready(self, buffer: SampleBuffer, step: int) -> bool:
        """See `FeatureExtractor`."""
        return buffer.end >= self.end_sample(step) or (buffer.finished and step * self._segment < buffer.end)

    def extract(self, buffer: SampleBuffer, step: int) -> FloatArray:
        """See `FeatureExtractor`."""
        start = step * self._segment
        window, half = buffer.span(start, start + self._window), self._log_mel.n_fft // 2
        if missing := self._window - len(window):
            window = np.concatenate([window, np.zeros(missing, window.dtype)])
        # What `np.pad(window, half, mode="reflect")` gives, in a sixth of its time.
        reflected = np.concatenate([window[half:0:-1], window, window[-2 : -half - 2 : -1]])
        return self._log_mel(reflected, self._num_frames)

    def first_sample(self, step: int) -> int:
        """See `FeatureExtractor`."""
        return step * self._segment

    def end_sample(self, step: int) -> int:
        """See `FeatureExtractor`."""
        return step * self._segment + self._window


class ContinuousFeatures:
    """Features of the unbroken audio: equal to those of the whole utterance, its reflected ends included.

    Frame t is centred on sample t * hop_length. After the last frame come frames of zeros, the
    mean of all speech, as the bundle's own extractor for whole utterances pads.
    """

    def __init__(self, frontend: Frontend, geometry: Geometry) -> None:
        self._log_mel = LogMel(frontend)
        self._hop = frontend.hop_length
        self._half = frontend.n_fft // 2
        self._segment = geometry.segment_length
        self._num_frames = geometry.step_length

    def is_ready(self, buffer: SampleBuffer, step: int) -> bool:
        """See `FeatureExtractor`."""
        if buffer.end >= self.end_sample(step):
            return True
        return buffer.finished and step * self._segment < self._count(buffer)

    def extract(self, buffer: SampleBuffer, step: int) -> FloatArray:
        """See `FeatureExtractor`."""
        first = step * self._segment
        count = min(self._num_frames, self._count(buffer) - first) if buffer.finished else self._num_frames
        low = first * self._hop - self._half
        high = low + (count - 1) * self._hop + 2 * self._half
        features = self._log_mel(self._reflected(buffer, low, high), count)
        return np.pad(features, ((0, self._num_frames - count), (0, 0)))

    def first_sample(self, step: int) -> int:
        """See `FeatureExtractor`; half a window more stays for the reflection at the end."""
        return max(step * self._segment * self._hop - 4 * self._half, 0)

    def end_sample(self, step: int) -> int:
        """See `FeatureExtractor`."""
        return (step * self._segment + self._num_frames - 1) * self._hop + self._half

    @staticmethod
    def _reflected(buffer: SampleBuffer, low: int, high: int) -> FloatArray:
        """Samples [low, high), mirrored where they lie outside the audio."""
        if low >= buffer.start and high <= buffer.end:
            return buffer.span(low, high)
        period = max(2 * (buffer.end - 1), 1)
        indices = np.arange(low, high) % period
        return np.take(buffer.samples, np.minimum(indices, period - indices) - buffer.start)

    def _count(self, buffer: SampleBuffer) -> int:
        return 1 + buffer.end // self._hop if buffer.end else 0


def feature_extractor(mode: str, frontend: Frontend, geometry: Geometry) -> FeatureExtractor:
    """The extractor of a mode.

    Raises:
        UsageError: the mode is neither `windowed` nor `continuous`.
    """
    if mode == "windowed":
        return WindowedFeatures(frontend, geometry)
    if mode == "continuous":
        return ContinuousFeatures(frontend, geometry)
    raise UsageError(f"expected a frontend of {', '.join(FRONTENDS)}, found {mode!r}")
