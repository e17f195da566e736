"""However the audio is cut into calls, a stream sees exactly the same chunks."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Frontend, Geometry
from emf.runtime.audio.features import FRONTENDS, feature_extractor
from emf.runtime.inference.encoder_state import EncoderState
from emf.runtime.inference.transducer import EncodedStep
from emf.runtime.recognition.batch_step import DecodedStep
from emf.runtime.recognition.stream import Stream
from emf.runtime.recognition.stream_settings import StreamSettings
from emf.runtime.recognition.stream_state import StreamState
from emf.runtime.search.emissions import NOTHING
from emf.runtime.search.hypothesis import Hypothesis, SearchState
from tests.signals import SAMPLE_RATE, speech_like

GEOMETRY = Geometry(20, 16, 4, 30, 0, 4, 24, 33)
FRONTEND = Frontend(SAMPLE_RATE, 400, 160, 20, (14.0,) * 20, (0.3,) * 20)
EMPTY = SearchState((Hypothesis(NOTHING, 0.0, np.zeros(1, np.float32), np.zeros(1, np.float32)),))
RATES = [16_000, 8_000, 44_100]
AUDIO = {rate: speech_like(1.0, seed=5, sample_rate=rate) for rate in RATES}


def make_stream(mode: str, tail_padding: float = 0.0) -> Stream:
    extractor = feature_extractor(mode, FRONTEND, GEOMETRY)
    settings = StreamSettings(
        extractor, SAMPLE_RATE, GEOMETRY.frames_per_step, tail_padding, stable_frames=None, identity={}
    )
    return Stream(settings, StreamState(EncoderState((), {}, {}), EMPTY))


def next_chunk(stream: Stream) -> FloatArray:
    """Features of the next step, after which the stream goes on without a model."""
    extractor, state = stream.settings.extractor, stream.state
    features = extractor.extract(state.audio, state.clock.step)
    DecodedStep([stream], [EncodedStep(features[None, None], [])], [(features,)], [EMPTY]).commit()
    return features


def chunks_of(stream: Stream, rate: int, pieces: Sequence[FloatArray]) -> list[FloatArray]:
    """Feed pieces one by one, taking every chunk as soon as it is ready."""
    found = []
    for piece in [*pieces, None]:
        if piece is None:
            stream.input_finished()
        else:
            stream.accept_waveform(rate, piece)
        while stream.is_ready:
            found.append(next_chunk(stream))
    assert stream.is_final
    return found


def assert_same(found: list[FloatArray], expected: list[FloatArray]) -> None:
    assert len(found) == len(expected)
    for index, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(ours, theirs, err_msg=f"chunk {index}")


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("mode", FRONTENDS)
@given(length=st.integers(0, 16_000), cuts=st.lists(st.integers(0, 16_000), max_size=12))
@example(length=0, cuts=[])
@example(length=1, cuts=[0, 0, 1])
@example(length=3199, cuts=[2560])
def test_chunks_do_not_depend_on_the_split(mode: str, rate: int, length: int, cuts: list[int]) -> None:
    audio = AUDIO[rate][:length]
    pieces = np.split(audio, sorted(min(cut, len(audio)) for cut in cuts))
    assert_same(chunks_of(make_stream(mode), rate, pieces), chunks_of(make_stream(mode), rate, [audio]))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("mode", FRONTENDS)
def test_single_samples(mode: str, rate: int) -> None:
    audio = AUDIO[rate][: rate // 4]
    pieces = np.split(audio, len(audio))
    assert_same(chunks_of(make_stream(mode), rate, pieces), chunks_of(make_stream(mode), rate, [audio]))


@pytest.mark.parametrize("mode", FRONTENDS)
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_resampled_audio_keeps_its_length(mode: str, rate: int) -> None:
    """A second of audio is a second at the model's rate: nothing is lost at either end."""
    stream = make_stream(mode)
    stream.accept_waveform(rate, AUDIO[rate])
    stream.input_finished()
    assert abs(stream.state.audio.end - SAMPLE_RATE) <= 1


@pytest.mark.parametrize("mode", FRONTENDS)
def test_tail_padding_is_silence_after_the_audio(mode: str) -> None:
    audio = AUDIO[16_000][:7000]
    padded = np.concatenate([audio, np.zeros(8000, np.float32)])
    found = chunks_of(make_stream(mode, tail_padding=0.5), SAMPLE_RATE, [audio])
    assert_same(found, chunks_of(make_stream(mode), SAMPLE_RATE, [padded]))
    assert chunks_of(make_stream(mode, tail_padding=0.5), SAMPLE_RATE, []) == []


@pytest.mark.parametrize("mode", FRONTENDS)
def test_the_caller_may_reuse_its_buffer(mode: str) -> None:
    audio, stream = AUDIO[16_000], make_stream(mode)
    buffer = np.empty(4000, np.float32)
    for start in range(0, len(audio), len(buffer)):
        buffer[:] = audio[start : start + len(buffer)]
        stream.accept_waveform(SAMPLE_RATE, buffer)
    buffer[:] = 0.0
    assert_same(chunks_of(stream, SAMPLE_RATE, []), chunks_of(make_stream(mode), SAMPLE_RATE, [audio]))


@pytest.mark.parametrize("mode", FRONTENDS)
def test_a_stream_keeps_only_the_audio_it_still_needs(mode: str) -> None:
    stream = make_stream(mode)
    for _ in range(20):
        chunks_in = AUDIO[16_000]
        stream.accept_waveform(SAMPLE_RATE, chunks_in)
        while stream.is_ready:
            next_chunk(stream)
        assert len(stream.state.audio.samples) < 5_000
