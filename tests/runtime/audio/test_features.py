"""Features against torchaudio's own transform, in both modes."""

import numpy as np
import pytest
import torch

from emf.export.parity.reference import StreamingExtractor, windows
from emf.export.torchaudio_loader import load_torchaudio
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Frontend, Geometry
from emf.runtime.audio.features import FRONTENDS, FeatureExtractor, feature_extractor
from emf.runtime.audio.mel import mel_filterbank
from emf.runtime.audio.sample_buffer import SampleBuffer
from tests.oracle import HOP_LENGTH, frontend
from tests.signals import speech_like
from tests.tolerances import FEATURES, FEATURES_FLOAT32

GEOMETRY = Geometry(
    input_dim=80,
    segment_length=16,
    right_context_length=4,
    left_context_length=30,
    max_memory_size=0,
    subsampling_factor=4,
    encoding_dim=24,
    num_symbols=33,
)
SEGMENT = GEOMETRY.segment_length * HOP_LENGTH
FRONTEND = frontend(80)


def steps(extractor: FeatureExtractor, samples: FloatArray) -> list[FloatArray]:
    buffer = SampleBuffer(samples, finished=True)
    found: list[FloatArray] = []
    while extractor.is_ready(buffer, len(found)):
        found.append(extractor.extract(buffer, len(found)))
        buffer.drop_before(extractor.first_sample(len(found)))
    return found


# Every kind of end: nothing, one sample, within and at the edges of hop, segment and window.
LENGTHS = [
    *(0, 1, 2, HOP_LENGTH - 1, HOP_LENGTH, HOP_LENGTH + 1, 399, 400, 401),
    *(SEGMENT - 1, SEGMENT, SEGMENT + 1, 3199, 3200, 3201),
    *(2 * SEGMENT + k * HOP_LENGTH + r for k in range(16) for r in (0, 1, 80)),
]


def test_filters_are_torchaudios_but_for_a_rounding() -> None:
    theirs = load_torchaudio().functional.melscale_fbanks(201, 0.0, 8000.0, 80, 16000).numpy()
    # One centre rounded the other way moves its slopes by less than 3e-6; numpy's own power rounds many so.
    assert (np.abs(mel_filterbank(201, 80, 16000) - theirs).max(axis=0) > 0).sum() <= 8
    np.testing.assert_allclose(mel_filterbank(201, 80, 16000), theirs, rtol=0, atol=3e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, FEATURES), (torch.float32, FEATURES_FLOAT32)])
def test_windowed_equals_torchaudios_streaming_extractor(dtype: torch.dtype, tolerance: float) -> None:
    extractor, oracle = feature_extractor("windowed", FRONTEND, GEOMETRY), StreamingExtractor(FRONTEND, dtype)
    audio = speech_like(0.6)
    for length in LENGTHS:
        found = steps(extractor, audio[:length])
        # torchaudio's window gives one frame more, which the time reduction drops.
        expected = [oracle(w)[:20].numpy() for w in windows(audio[:length], FRONTEND, GEOMETRY)]
        assert len(found) == len(expected)
        if expected:
            np.testing.assert_allclose(np.stack(found), np.stack(expected), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, FEATURES), (torch.float32, FEATURES_FLOAT32)])
def test_continuous_equals_the_whole_utterance_to_its_last_frame(dtype: torch.dtype, tolerance: float) -> None:
    extractor, oracle = feature_extractor("continuous", FRONTEND, GEOMETRY), StreamingExtractor(FRONTEND, dtype)
    audio = speech_like(0.6)
    for length in (n for n in LENGTHS if n > FRONTEND.n_fft // 2):  # torch cannot reflect shorter audio
        whole = oracle(audio[:length]).numpy()
        found = steps(extractor, audio[:length])
        assert len(found) == -(-len(whole) // GEOMETRY.segment_length)
        padded = np.pad(whole, ((0, GEOMETRY.step_length), (0, 0)))
        for index, chunk in enumerate(found):
            first = index * GEOMETRY.segment_length
            expected = padded[first : first + GEOMETRY.step_length]
            np.testing.assert_allclose(chunk, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("mode", FRONTENDS)
@pytest.mark.parametrize("length", range(1, 202, 20))
def test_audio_shorter_than_a_window_gives_one_finite_chunk(mode: str, length: int) -> None:
    (chunk,) = steps(feature_extractor(mode, FRONTEND, GEOMETRY), speech_like(1.0)[:length])
    assert chunk.shape == (GEOMETRY.step_length, 80)
    assert np.isfinite(chunk).all()


@pytest.mark.parametrize("mode", FRONTENDS)
def test_no_audio_gives_no_chunk(mode: str) -> None:
    assert steps(feature_extractor(mode, FRONTEND, GEOMETRY), np.zeros(0, np.float32)) == []


@pytest.mark.parametrize("mode", FRONTENDS)
@pytest.mark.parametrize("samples", [np.zeros(6000), np.ones(6000), np.tile([1.0, -1.0], 3000)], ids=str)
def test_extreme_audio_gives_finite_features(mode: str, samples: FloatArray) -> None:
    for chunk in steps(feature_extractor(mode, FRONTEND, GEOMETRY), samples.astype(np.float32)):
        assert np.isfinite(chunk).all()


@pytest.mark.parametrize(("n_fft", "hop_length", "n_mels"), [(512, 128, 40), (256, 256, 20), (320, 100, 64)])
def test_other_sizes_of_the_transform(n_fft: int, hop_length: int, n_mels: int) -> None:
    other = Frontend(16_000, n_fft, hop_length, n_mels, (10.0,) * n_mels, (0.2,) * n_mels)
    geometry = Geometry(n_mels, 8, 2, 4, 0, 2, 16, 33)
    oracle, audio = StreamingExtractor(other, torch.float64), speech_like(0.7)
    found = steps(feature_extractor("windowed", other, geometry), audio)
    expected = [oracle(w)[: geometry.step_length].numpy() for w in windows(audio, other, geometry)]
    np.testing.assert_allclose(np.stack(found), np.stack(expected), rtol=0, atol=FEATURES)
    whole = oracle(audio).numpy()
    chunks = steps(feature_extractor("continuous", other, geometry), audio)
    streamed = np.concatenate([chunk[:8] for chunk in chunks])
    np.testing.assert_allclose(streamed[: len(whole)], whole, rtol=0, atol=FEATURES)
