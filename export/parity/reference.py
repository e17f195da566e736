"""The oracle: torchaudio's own modules, streaming features and `RNNTBeamSearch`, one stream at a time."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from emf.export.graphs.cache_format import CACHE_DTYPES
from emf.export.graphs.states import EncoderStates, LatentStates
from emf.export.model import SourceModel
from emf.export.parity.rounded_model import Cached, RoundedModel
from emf.export.torchaudio_loader import load_torchaudio
from emf.runtime.arrays import Arrays, FloatArray
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
        excess: how far what was kept of the chunk lies beyond the nearest whole units; `None` where these are not kept.
    """

    features: FloatArray
    exact_features: FloatArray
    encoding: FloatArray
    states: dict[str, FloatArray]
    hypotheses: list[Any]
    hypotheses_before: list[Any]
    excess: float | None = None


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


Lead = Callable[[FloatArray], Arrays]
"""What a backend keeps of a chunk whose features, (segment + right context, n_mels), are given; see `RoundedModel`."""


class Reference:
    """torchaudio's streaming recognition of one model.

    Attributes:
        source: the model.
        beam_width: hypotheses kept.
        states: the encoder's state as graphs have it.
        rounded: the model with its cache in whole units; `None` if it is kept in floating point.
        lead: decides the roundings; `None` leaves them to PyTorch.
    """

    def __init__(self, source: SourceModel, beam_width: int, cache: str = "float32") -> None:
        """Take the model, the hypotheses to keep, and the name of the format that keys and values are kept in."""
        torchaudio = load_torchaudio()
        self.source = source
        self.beam_width = beam_width
        self.states = encoder_states(source, cache)
        self.extract = StreamingExtractor(source.frontend)
        self.extract_exactly = StreamingExtractor(source.frontend, torch.float64)
        self.rounded = rounded_model(source, cache)
        self._rnnt = source.rnnt if self.rounded is None else self.rounded.rnnt
        self.lead: Lead | None = None
        self.decoder = torchaudio.models.RNNTBeamSearch(self._rnnt, source.geometry.num_symbols - 1)

    def run(self, samples: FloatArray) -> Iterator[ReferenceStep]:
        """`RNNTBeamSearch.infer` over one stream, state and hypotheses chained from chunk to chunk."""
        transcribe = self._rnnt.transcribe_streaming
        captured: list[Tensor] = []

        def capture(*arguments: Any) -> Any:
            outputs = transcribe(*arguments)
            captured[:] = [outputs[0]]
            return outputs

        self._rnnt.transcribe_streaming = capture
        with torch.inference_mode():
            state, hypotheses = None, self.decoder._init_b_hypos(torch.device("cpu"))
        try:
            for window in windows(samples, self.source.frontend, self.source.geometry):
                # The window's last frame is one that the time reduction would drop.
                features = self.extract(window)[: self.source.geometry.step_length]
                exact = self.extract_exactly(window)[: self.source.geometry.step_length]
                length, before = torch.tensor([len(features)]), hypotheses
                if self.rounded is not None and self.lead is not None:
                    self.rounded.go_on_from(self.states.by_layer(self.lead(features.numpy())))
                with torch.inference_mode():
                    hypotheses, state = self.decoder.infer(features, length, self.beam_width, state, hypotheses)
                states, encoding = self.states.of_torchaudio(state), captured[0][0].numpy()
                excess = None if self.rounded is None else self.rounded.excess
                yield ReferenceStep(features.numpy(), exact.numpy(), encoding, states, hypotheses, before, excess)
        finally:
            del self._rnnt.transcribe_streaming


class EncoderChain:
    """torchaudio's encoder alone, over one stream whose cache is rounded as a backend rounds it."""

    def __init__(self, source: SourceModel, cache: str) -> None:
        """Begin a stream; `cache` names a format that rounds."""
        self._rounded = rounded_model(source, cache)
        self._states = encoder_states(source, cache)
        self._state: Any = None

    def step(self, step: ReferenceStep, kept: Arrays) -> ReferenceStep:
        """The chunk of `step` as it is computed from what a backend kept of it and of those before."""
        assert self._rounded is not None
        self._rounded.go_on_from(self._states.by_layer(kept))
        features = torch.from_numpy(step.features)[None]
        with torch.inference_mode():
            length = torch.tensor([features.shape[1]])
            encoding, _, self._state = self._rounded.rnnt.transcribe_streaming(features, length, self._state)
        states = self._states.of_torchaudio(self._state)
        return step._replace(encoding=encoding[0].numpy(), states=states, excess=self._rounded.excess)


def encoder_states(source: SourceModel, cache: str) -> EncoderStates:
    """The encoder's state as the graphs of a model have it, its cache in a format."""
    if source.latents:
        return LatentStates(source.rnnt.transcriber, source.geometry, cache, source.latents)
    return EncoderStates(source.rnnt.transcriber, source.geometry, cache)


def rounded_model(source: SourceModel, cache: str) -> RoundedModel | None:
    """The model with its cache in whole units; `None` for formats of floating point."""
    if CACHE_DTYPES[cache].is_floating_point:
        return None
    frames = source.geometry.frames_per_step
    if not source.latents:
        return RoundedModel(source.rnnt, cache, frames)
    latents = iter(source.latents)

    def cached(_: Any) -> Cached:
        latent = next(latents)
        return Cached(
            lambda rows: rows @ latent.down.T + latent.offset, lambda kept: kept @ latent.up.T + latent.bias, 1
        )

    return RoundedModel(source.rnnt, cache, frames, cached)
