"""The recognizer on a tiny random model: what torchaudio says, whatever else happens around a stream."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emf.runtime import Recognizer, Result, Stream, UsageError
from emf.runtime.arrays import FloatArray
from emf.runtime.audio.features import FRONTENDS
from emf.runtime.search.methods import METHODS
from tests.runtime.conftest import Load
from tests.signals import SAMPLE_RATE, speech_like
from tests.tolerances import SAME_STREAM, SCORE

EXPECTED = json.loads((Path(__file__).parents[2] / "data" / "tiny_expected.json").read_text(encoding="utf-8"))
AUDIO = speech_like(EXPECTED["seconds"], EXPECTED["seed"])


def decode(recognizer: Recognizer, pieces: Sequence[FloatArray], rate: int = SAMPLE_RATE) -> tuple[Stream, Result]:
    """Feed pieces one by one and decode whatever is ready after each."""
    stream = recognizer.create_stream()
    for piece in pieces:
        stream.accept_waveform(rate, piece)
        while recognizer.is_ready(stream):
            recognizer.decode_streams([stream])
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
    return stream, recognizer.get_result(stream)


def all_hypotheses(stream: Stream) -> list[tuple[list[int], float]]:
    return [([*stream.state.emitted.tokens, *h.tokens], h.score) for h in stream.state.search.hypotheses]


@pytest.mark.parametrize("width", [1, 4, 10])
def test_says_what_torchaudio_says(load: Load, backend: str, width: int) -> None:
    """Tokens, order of hypotheses and scores of `RNNTBeamSearch` over the whole recording."""
    stream, result = decode(load(backend=backend, beam_width=width), [AUDIO])
    expected = EXPECTED["hypotheses"][str(width)]
    found = all_hypotheses(stream)
    assert [tokens for tokens, _ in found] == [h["tokens"] for h in expected]
    assert [score for _, score in found] == pytest.approx([h["score"] for h in expected], rel=0, abs=SCORE)
    assert list(result.token_ids) == expected[0]["tokens"]
    assert result.score == pytest.approx(expected[0]["score"], abs=SCORE)


def test_a_threshold_drops_hypotheses_far_below_the_best(load: Load, backend: str) -> None:
    stream, _ = decode(load(backend=backend, beam_threshold=1.0), [AUDIO])
    scores = [score for _, score in all_hypotheses(stream)]
    assert 1 <= len(scores) < 10
    assert min(scores) >= max(scores) - 1.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("frontend", FRONTENDS)
@given(cuts=st.lists(st.integers(0, len(AUDIO)), max_size=8))
@settings(max_examples=5)
def test_result_does_not_depend_on_the_split(load: Load, method: str, frontend: str, cuts: list[int]) -> None:
    recognizer = load(backend="onnxruntime", decoding_method=method, frontend=frontend, beam_width=3, step_max_tokens=5)
    pieces = np.split(AUDIO, sorted(cuts))
    stream, result = decode(recognizer, pieces)
    whole_stream, whole = decode(recognizer, [AUDIO])
    assert result == whole == recognizer.transcribe(AUDIO, SAMPLE_RATE)
    assert all_hypotheses(stream) == all_hypotheses(whole_stream)
    for name, array in whole_stream.state.encoder.arrays.items():
        np.testing.assert_array_equal(stream.state.encoder.arrays[name], array)
    assert result.text


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_result_does_not_depend_on_the_split_of_resampled_audio(load: Load, backend: str, rate: int) -> None:
    recognizer, audio = load(backend=backend, beam_width=3), speech_like(2.0, seed=4, sample_rate=rate)
    _, whole = decode(recognizer, [audio], rate)
    for size in (1009, 160, 7):
        _, result = decode(recognizer, np.split(audio, range(size, len(audio), size)), rate)
        assert result == whole
    assert whole.text


def close(found: Result, expected: Result) -> bool:
    """Equal but for the rounding of the engine's sums."""
    return (
        (found.text, found.token_ids, found.timestamps) == (expected.text, expected.token_ids, expected.timestamps)
        and found.log_probs == pytest.approx(expected.log_probs, abs=SAME_STREAM)
        and found.score == pytest.approx(expected.score, abs=SCORE)
    )


def test_streams_in_a_batch_say_what_each_says_alone(load: Load, backend: str) -> None:
    """Lengths differ, and so does which streams are ready at the same time."""
    recognizer = load(backend=backend)
    recordings = [speech_like(seconds, seed) for seed, seconds in enumerate([3.0, 0.05, 1.7, 0.0, 4.1])]
    streams = [recognizer.create_stream() for _ in recordings]
    random = np.random.default_rng(0)
    positions = [0] * len(recordings)
    while any(position < len(audio) for position, audio in zip(positions, recordings, strict=True)):
        for index, audio in enumerate(recordings):
            size = int(random.integers(0, 6000))
            streams[index].accept_waveform(SAMPLE_RATE, audio[positions[index] : positions[index] + size])
            positions[index] += size
        recognizer.decode_streams(streams)
    for stream in streams:
        stream.input_finished()
    while any(recognizer.is_ready(stream) for stream in streams):
        recognizer.decode_streams(streams)
    for stream, audio in zip(streams, recordings, strict=True):
        assert close(recognizer.get_result(stream), recognizer.transcribe(audio, SAMPLE_RATE))


@pytest.mark.parametrize("count", [2, 9, 17])
def test_rows_that_an_engine_adds_to_a_batch_do_not_show(load: Load, backend: str, count: int) -> None:
    recognizer = load(backend=backend)
    recognizer.warm_up(count)
    recordings = [speech_like(0.6, seed) for seed in range(count)]
    for _ in range(2):  # the second time, buffers hold the states of the first
        streams = [recognizer.create_stream() for _ in recordings]
        for stream, audio in zip(streams, recordings, strict=True):
            stream.accept_waveform(SAMPLE_RATE, audio)
            stream.input_finished()
        while any(recognizer.is_ready(stream) for stream in streams):
            recognizer.decode_streams(streams)
        for stream, audio in zip(streams, recordings, strict=True):
            assert close(recognizer.get_result(stream), recognizer.transcribe(audio, SAMPLE_RATE))
        recordings.reverse()


def test_a_stream_named_twice_in_a_batch_takes_one_step(load: Load) -> None:
    recognizer = load(backend="onnxruntime")
    stream = recognizer.create_stream()
    stream.accept_waveform(SAMPLE_RATE, AUDIO)
    recognizer.decode_streams([stream, stream])
    assert stream.state.clock.step == 1


def test_decoding_without_a_ready_stream_does_nothing(load: Load) -> None:
    recognizer = load(backend="onnxruntime")
    stream = recognizer.create_stream()
    recognizer.decode_streams([])
    recognizer.decode_streams([stream])
    assert stream.state.clock.step == 0


def test_threads_share_a_recognizer(load: Load, backend: str) -> None:
    recognizer = load(backend=backend)
    recordings = [speech_like(1.5, seed) for seed in range(8)]
    alone = [recognizer.transcribe(audio, SAMPLE_RATE) for audio in recordings]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda audio: recognizer.transcribe(audio, SAMPLE_RATE), recordings * 2))
    assert together == alone * 2


def test_number_of_threads_does_not_change_the_text(load: Load, backend: str) -> None:
    one = load(backend=backend, num_threads=1).transcribe(AUDIO, SAMPLE_RATE)
    assert close(load(backend=backend, num_threads=3).transcribe(AUDIO, SAMPLE_RATE), one)


def test_engines_agree(load: Load) -> None:
    first, second = (load(backend=name).transcribe(AUDIO, SAMPLE_RATE) for name in ("onnxruntime", "openvino"))
    assert close(first, second)


@pytest.mark.parametrize("samples", [0, 1, 2, 100, 2559, 2560, 2561, 3199, 3200, 3201])
@pytest.mark.parametrize("frontend", FRONTENDS)
def test_short_audio(load: Load, backend: str, frontend: str, samples: int) -> None:
    recognizer = load(backend=backend, frontend=frontend)
    stream, result = decode(recognizer, [AUDIO[:samples]])
    if frontend == "windowed":
        assert stream.state.clock.step == -(-samples // 2560)
    assert result.is_final
    assert result.stable_text == result.text
    if not samples:
        assert (result.text, result.token_ids, result.words) == ("", (), ())


@pytest.mark.parametrize(
    "options",
    [
        {"decoding_method": "best"},
        {"frontend": "mel"},
        {"backend": "tensorrt"},
        {"num_threads": 0},
        {"beam_width": 0},
        {"beam_threshold": 0.0},
        {"tail_padding": -1.0},
        {"tail_padding": float("nan")},
    ],
    ids=str,
)
def test_options_that_make_no_sense(tiny_artifact: Path, options: dict[str, Any]) -> None:
    with pytest.raises((UsageError, ValueError), match="expected") as caught:
        Recognizer.load(tiny_artifact, **options)
    assert "\n" not in str(caught.value)
