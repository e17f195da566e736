"""Endpoints cut the text and never change it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import EndpointRules, Recognizer, UsageError
from emf.runtime.arrays import FloatArray
from tests.signals import speech_like


def load(artifact: Path, endpoint: EndpointRules | None, stable_delay: float | None = None) -> Recognizer:
    return Recognizer.load(artifact, num_threads=1, beam_width=4, endpoint=endpoint, stable_delay=stable_delay)


def segments(recognizer: Recognizer, samples: FloatArray) -> list[tuple[int, ...]]:
    stream = recognizer.create_stream()
    stream.accept_waveform(16_000, samples)
    stream.input_finished()
    found: list[tuple[int, ...]] = []
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        if recognizer.is_endpoint(stream):
            result = recognizer.get_result(stream)
            assert result.stable_text == result.text
            assert result.segment == len(found)
            found.append(result.token_ids)
            recognizer.reset(stream)
    return [*found, recognizer.get_result(stream).token_ids]


def with_pauses(seed: int) -> FloatArray:
    pause = np.zeros(12_000, np.float32)
    return np.concatenate([part for i in range(4) for part in (speech_like(1.0, seed=seed + i), pause)])


@pytest.mark.parametrize("stable_delay", [None, 0.2])
@given(seed=st.integers(0, 50), silence=st.sampled_from([0.08, 0.3]), length=st.sampled_from([0.5, 20.0]))
def test_the_text_with_endpoints_equals_the_text_without(
    tiny_artifact: Path, stable_delay: float | None, seed: int, silence: float, length: float
) -> None:
    samples = with_pauses(seed)
    rules = EndpointRules(silence_before_speech=silence, silence_after_speech=silence, max_length=length)
    cut = segments(load(tiny_artifact, rules, stable_delay), samples)
    (whole,) = segments(load(tiny_artifact, None, stable_delay), samples)
    assert sum(cut, ()) == whole


def test_cuts_happen(tiny_artifact: Path) -> None:
    rules = EndpointRules(silence_before_speech=0.5, silence_after_speech=0.3, max_length=1.0)
    assert len(segments(load(tiny_artifact, rules, stable_delay=0.2), with_pauses(0))) > 2


@pytest.mark.parametrize(
    ("has_speech", "silence", "length", "ends"),
    [
        (False, 2.3, 2.3, False),
        (False, 2.4, 2.4, True),
        (True, 1.1, 5.0, False),
        (True, 1.2, 5.0, True),
        (True, 0.0, 20.0, True),
    ],
)
def test_rules(has_speech: bool, silence: float, length: float, ends: bool) -> None:
    assert EndpointRules().ends(has_speech, silence, length) is ends


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_impossible_rules_are_refused(value: float) -> None:
    with pytest.raises(UsageError, match="silence_after_speech"):
        EndpointRules(silence_after_speech=value)


def test_stable_delay_bounds_the_disagreement(tiny_artifact: Path) -> None:
    recognizer = load(tiny_artifact, None, stable_delay=0.2)
    stream = recognizer.create_stream()
    stream.accept_waveform(16_000, speech_like(4.0))
    stable = ""
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        result = recognizer.get_result(stream)
        assert result.stable_text.startswith(stable)
        stable = result.stable_text
        settled = stream.state.search.num_frames - 0.2 / recognizer.seconds_per_frame
        pending = stream.state.search.best.emissions.frames
        assert all(frame >= settled for frame in pending)
    assert stable
