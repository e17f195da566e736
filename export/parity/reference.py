"""The oracle: torchaudio's own modules, streaming features and `RNNTBeamSearch`, one stream at a time."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from emf.export.graphs.states import EncoderStates
from emf.export.model import SourceModel
from emf.export.torchaudio_loader import load_torchaudio
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Frontend, Geometry


class ReferenceStep(NamedTuple):
    """What torchaudio computed for one chunk.

    Attributes:
        features: (segment + right context, n_mels), as fed to the encoder.
        exact_features: the same computed by torchaudio in float64, free of its rounding.
        encoding: (frames, encoding_dim).
        states: the encoder's states in the layout of `EncoderStates`, rings in time order, oldest first.
        hypotheses: of `RNNTBeamSearch.infer`, best first: (tokens with the initial blank, output, state, score).
        hypotheses_before: the same before the chunk.
    """

    features: FloatArray
    exact_features: FloatArray
    encoding: FloatArray
    states: dict[str, FloatArray]
    hypotheses: list[Any]
    hypotheses_before: list[Any]


class StreamingExtractor:
    """The features of `RNNTBundle.get_streaming_feature_extractor`, for any frontend and precision."""

    def __init__(self, frontend: Frontend, dtype: torch.dtype = torch.float32) -> None:
        """Take sizes and statistics from the manifest's frontend; `dtype` is that of the arithmetic."""
        torchaudio = load_torchaudio()
        self._mel: Any = torchaudio.transforms.MelSpectrogram(
            sample_rate=frontend.sample_rate,
            n_fft=frontend.n_fft,
            n_mels=frontend.n_mels,
            hop_length=frontend.hop_length,
        ).to(dtype)
        self._dtype = dtype
        pipeline = torchaudio.pipelines.rnnt_pipeline
        self._gain, self._compress = pipeline._gain, pipeline._piecewise_linear_log
        self._mean, self._invstddev = torch.tensor(frontend.mean), torch.tensor(frontend.invstddev)

    def __call__(self, samples: FloatArray) -> Tensor:
        """Normalised features of a stretch of audio, shape (1 + samples // hop_length, n_mels)."""
        mel = self._mel(torch.from_numpy(samples).to(self._dtype)).transpose(1, 0)
        features: Tensor = (self._compress(mel * self._gain) - self._mean) * self._invstddev
        return features.to(torch.float32)


def windows(samples: FloatArray, frontend: Frontend, geometry: Geometry) -> Iterator[FloatArray]:
    """The windows of torchaudio's documented streaming loop: one at every segment, padded with zeros."""
    segment, window = frontend.samples(geometry.segment_length), frontend.samples(geometry.step_length)
    for start in range(0, len(samples), segment):
        piece = samples[start : start + window]
        yield np.pad(piece, (0, window - len(piece)))


class Reference:
    """torchaudio's streaming recognition of one model."""

    def __init__(self, source: SourceModel, beam_width: int) -> None:
        torchaudio = load_torchaudio()
        self.source = source
        self.beam_width = beam_width
        self.states = EncoderStates(source.rnnt.transcriber, source.geometry)
        self.extract = StreamingExtractor(source.frontend)
        self.extract_exactly = StreamingExtractor(source.frontend, torch.float64)
        self.decoder = torchaudio.models.RNNTBeamSearch(source.rnnt, source.geometry.num_symbols - 1)

    def run(self, samples: FloatArray) -> Iterator[ReferenceStep]:
        """`RNNTBeamSearch.infer` over one stream, state and hypotheses chained from chunk to chunk."""
        transcribe = self.source.rnnt.transcribe_streaming
        captured: list[Tensor] = []

        def capture(*arguments: Any) -> Any:
            outputs = transcribe(*arguments)
            captured[:] = [outputs[0]]
            return outputs

        self.source.rnnt.transcribe_streaming = capture
        with torch.inference_mode():
            state, hypotheses = None, self.decoder._init_b_hypos(torch.device("cpu"))
        try:
            for window in windows(samples, self.source.frontend, self.source.geometry):
                # The window's last frame is one that the time reduction would drop.
                features = self.extract(window)[: self.source.geometry.step_length]
                exact = self.extract_exactly(window)[: self.source.geometry.step_length]
                length, before = torch.tensor([len(features)]), hypotheses
                with torch.inference_mode():
                    hypotheses, state = self.decoder.infer(features, length, self.beam_width, state, hypotheses)
                states = self.states.of_torchaudio(state)
                yield ReferenceStep(features.numpy(), exact.numpy(), captured[0][0].numpy(), states, hypotheses, before)
        finally:
            del self.source.rnnt.transcribe_streaming
