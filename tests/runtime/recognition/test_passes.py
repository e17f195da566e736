"""Several segments of a stream in one pass of the encoder: everything is as it is with single steps."""

from collections.abc import Iterator

import numpy as np
import pytest

from emf.runtime import Recognizer, Result, Stream
from emf.runtime.inference.session import BACKENDS
from emf.runtime.recognition.packed_arrays import unpack
from tests.conftest import Export
from tests.signals import SAMPLE_RATE, speech_like
from tests.tolerances import SAME_STREAM, TENSOR

CONFIGS = ("like-base", "memory-tanh", "memory-clamped", "no-state", "left-below-segment", "odd-lengths")
SEGMENTS = 8


@pytest.fixture(scope="module", params=BACKENDS)
def recognizer(request: pytest.FixtureRequest, exported: Export) -> Recognizer:
    return Recognizer.load(exported("memory-tanh").root, backend=request.param, num_threads=1, beam_width=4)


def whole(recognizer: Recognizer, seconds: float, seed: int = 0) -> Stream:
    """A stream whose audio is there before it is decoded."""
    stream = recognizer.create_stream()
    stream.accept_waveform(SAMPLE_RATE, speech_like(seconds, seed))
    stream.input_finished()
    return stream


def live(recognizer: Recognizer, seconds: float, seed: int = 0) -> Stream:
    """The same audio, decoded before it has ended, to its end."""
    stream = recognizer.create_stream()
    stream.accept_waveform(SAMPLE_RATE, speech_like(seconds, seed))
    recognizer.decode_ready([stream])
    assert not stream.state.ahead
    stream.input_finished()
    recognizer.decode_ready([stream])
    return stream


def steps(recognizer: Recognizer, stream: Stream) -> Iterator[int]:
    """Decode to the end; the number of segments that the encoder is ahead after each step."""
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        yield len(stream.state.ahead)


def assert_same(recognizer: Recognizer, found: Stream, expected: Stream) -> None:
    """Two streams of the same audio are in the same state, as far as rounding allows, and say the same."""
    one, other = found.state.encoder, expected.state.encoder
    assert one.written == other.written
    for name in one.arrays:
        first, second = (state.arrays[name].astype(np.float64) for state in (one, other))
        np.testing.assert_allclose(first, second, rtol=0, atol=TENSOR, err_msg=name)
    results: list[Result] = [recognizer.get_result(stream) for stream in (found, expected)]
    assert results[0].token_ids == results[1].token_ids
    assert results[0].timestamps == results[1].timestamps
    assert [a.text for a in results[0].nbest] == [a.text for a in results[1].nbest]
    assert results[0].score == pytest.approx(results[1].score, abs=SAME_STREAM * max(1, len(results[0].token_ids)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("config", CONFIGS)
def test_at_every_residue_of_the_number_of_segments(exported: Export, config: str, backend: str) -> None:
    recognizer = Recognizer.load(exported(config).root, backend=backend, num_threads=1, beam_width=4)
    step = recognizer.transducer.manifest.seconds_per_step
    for residue in range(SEGMENTS):
        count = 2 * SEGMENTS + residue
        stream = whole(recognizer, (count - 0.5) * step, residue)
        ahead = [*range(SEGMENTS - 1, -1, -1)] * 2 + [0] * residue
        assert [*steps(recognizer, stream)][:count] == ahead
        assert_same(recognizer, stream, live(recognizer, (count - 0.5) * step, residue))


def test_a_snapshot_at_any_step_goes_on_exactly(recognizer: Recognizer) -> None:
    undisturbed, stream = whole(recognizer, 2.0), whole(recognizer, 2.0)
    assert sum(1 for _ in steps(recognizer, undisturbed)) > 2 * SEGMENTS
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        ahead, stream = stream.state.ahead, recognizer.restore_stream(stream.snapshot())
        np.testing.assert_array_equal(stream.state.ahead, ahead)
    for name, array in undisturbed.state.encoder.arrays.items():
        np.testing.assert_array_equal(stream.state.encoder.arrays[name], array)
    assert recognizer.get_result(stream) == recognizer.get_result(undisturbed)


def test_the_snapshot_of_a_live_stream_says_nothing_of_passes(recognizer: Recognizer) -> None:
    header, arrays = unpack(live(recognizer, 1.0).snapshot())
    assert "ahead" not in header and "in_passes" not in header and "ahead" not in arrays


@pytest.mark.parametrize("length", [700, 16_000])
def test_a_recording_is_grouped_from_its_start_however_it_is_read(recognizer: Recognizer, length: int) -> None:
    audio, expected = speech_like(2.0), whole(recognizer, 2.0)
    recognizer.decode_ready([expected])
    stream = recognizer.create_stream(recording=True)
    for begin in range(0, len(audio), length):
        stream.accept_waveform(SAMPLE_RATE, audio[begin : begin + length])
        recognizer.decode_ready([stream])
    stream.input_finished()
    recognizer.decode_ready([stream])
    for name, array in expected.state.encoder.arrays.items():
        np.testing.assert_array_equal(stream.state.encoder.arrays[name], array)
    assert recognizer.get_result(stream) == recognizer.get_result(expected)


def test_recordings_and_live_streams_in_one_batch(recognizer: Recognizer) -> None:
    streams = [whole(recognizer, 1.0, 1), recognizer.create_stream(), whole(recognizer, 2.0, 2)]
    streams[1].accept_waveform(SAMPLE_RATE, speech_like(1.5, 3))
    recognizer.decode_streams(streams)
    assert [len(stream.state.ahead) for stream in streams] == [SEGMENTS - 1, 0, SEGMENTS - 1]
    recognizer.decode_ready(streams)
    streams[1].input_finished()
    recognizer.decode_ready(streams)
    for stream, (seconds, seed) in zip(streams, [(1.0, 1), (1.5, 3), (2.0, 2)], strict=True):
        assert_same(recognizer, stream, live(recognizer, seconds, seed))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_live_stream_catches_up_if_it_may(exported: Export, backend: str) -> None:
    recognizer = Recognizer.load(exported("memory-tanh").root, backend=backend, num_threads=1, catch_up=True)
    stream, audio = recognizer.create_stream(), speech_like(3.0)
    stream.accept_waveform(SAMPLE_RATE, audio[:4000])
    assert max(steps(recognizer, stream), default=0) == 0, "it is not far behind"
    stream.accept_waveform(SAMPLE_RATE, audio[4000:])
    assert max(steps(recognizer, stream)) == SEGMENTS - 1
    stream.input_finished()
    recognizer.decode_ready([stream])
    plain = Recognizer.load(exported("memory-tanh").root, backend=backend, num_threads=1)
    assert_same(recognizer, stream, live(plain, 3.0))


def test_a_pass_that_fails_leaves_the_stream_as_it_was(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = whole(recognizer, 2.0)
    before = stream.snapshot()
    with monkeypatch.context() as patch:
        patch.setattr("emf.runtime.recognition.batch_step.advance", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            recognizer.decode_streams([stream])
    assert stream.snapshot() == before
