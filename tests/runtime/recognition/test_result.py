"""Results while audio comes in: what is promised of text, times, words and alternatives."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from emf.runtime import Recognizer, Result
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.search.emissions import Emissions
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.methods import METHODS
from tests.runtime.conftest import Load
from tests.signals import SAMPLE_RATE, speech_like


def results(recognizer: Recognizer, seconds: float, seed: int) -> Iterator[Result]:
    """The result after every step."""
    stream = recognizer.create_stream()
    stream.accept_waveform(SAMPLE_RATE, speech_like(seconds, seed))
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        yield recognizer.get_result(stream)


@pytest.mark.parametrize("options", [{}, {"stable_delay": 0.2}, {"stable_delay": 0.0}], ids=str)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_stable_text_never_changes(load: Load, method: str, seed: int, options: dict[str, Any]) -> None:
    recognizer = load(backend="onnxruntime", decoding_method=method, step_max_tokens=5, **options)
    stable = ""
    for result in results(recognizer, 3.0, seed):
        assert result.stable_text.startswith(stable)
        assert result.text.startswith(result.stable_text)
        for alternative in result.nbest:
            assert alternative.text.startswith(stable)
        stable = result.stable_text
    assert result.is_final
    assert stable == result.text != ""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_every_result_fits_together(load: Load, method: str, seed: int) -> None:
    recognizer = load(backend="onnxruntime", decoding_method=method, step_max_tokens=5)
    for result in results(recognizer, 3.0, seed):
        assert len(result.token_ids) == len(result.tokens) == len(result.timestamps) == len(result.log_probs)
        assert result.text == recognizer.tokens.text(result.token_ids)
        assert result.nbest[0].text == result.text
        assert result.nbest[0].score == result.score
        assert all(a <= b for a, b in pairwise(result.timestamps)), "time must not run backwards"
        assert all(log_prob <= 0.0 for log_prob in result.log_probs)
        assert " ".join(word.word for word in result.words) == " ".join(result.text.split())
        assert all(a.start <= b.start for a, b in pairwise(result.words))
        for word in result.words:
            assert 0.0 <= word.start < word.end
            assert 0.0 <= word.confidence <= 1.0


def test_times_stay_in_order_when_another_alignment_wins(load: Load) -> None:
    """A token was committed with the time of one hypothesis; then one wins that had it, and the next, earlier."""
    recognizer = load(backend="onnxruntime")
    stream = recognizer.create_stream()
    winner = stream.state.search.best._replace(emissions=Emissions((2, 3), (4, 7), (-0.1, -0.2)))
    stream.state.emitted = Emissions((1,), (5,), (-0.3,))
    stream.state.search = SearchState((winner,), num_committed=1, num_frames=8)
    assert recognizer.get_result(stream).timestamps == pytest.approx((0.2, 0.2, 0.28))


@pytest.mark.parametrize(
    ("segment", "stride", "expected"), [(16, 4, 0.04), (7, 3, 0.035), (5, 5, 0.05), (9, 2, 0.0225)]
)
def test_a_steps_frames_cover_its_segment(tiny_artifact: Path, segment: int, stride: int, expected: float) -> None:
    """Also where the segment is no multiple of the stride, so that times do not drift from the audio."""
    manifest = read_manifest(tiny_artifact)
    geometry = replace(manifest.geometry, segment_length=segment, subsampling_factor=stride)
    assert replace(manifest, geometry=geometry).seconds_per_frame == pytest.approx(expected)


def test_times_are_those_of_the_audio(load: Load) -> None:
    *_, result = results(load(backend="onnxruntime"), 3.0, 1)
    frame = 4 * 160 / SAMPLE_RATE
    assert all(0.0 <= time <= 3.0 for time in result.timestamps)
    assert all(abs(time / frame - round(time / frame)) < 1e-6 for time in result.timestamps)


def test_reset_begins_a_new_segment_and_loses_nothing(load: Load) -> None:
    """With one hypothesis the segments' texts are the text of the whole."""
    recognizer = load(backend="onnxruntime", decoding_method="beam", beam_width=1)
    stream, segments = recognizer.create_stream(), []
    stream.accept_waveform(SAMPLE_RATE, speech_like(4.0, 1))
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        if stream.state.clock.step % 7 == 0:
            segments.append(recognizer.get_result(stream))
            recognizer.reset(stream)
            assert recognizer.get_result(stream).text == ""
    segments.append(recognizer.get_result(stream))
    whole = recognizer.transcribe(speech_like(4.0, 1), SAMPLE_RATE)
    assert sum((s.token_ids for s in segments), ()) == whole.token_ids
    assert sum((s.timestamps for s in segments), ()) == whole.timestamps
    assert [s.segment for s in segments] == list(range(len(segments)))
    assert all(a.start_time < b.start_time for a, b in pairwise(segments))
