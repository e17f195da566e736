"""Endpoints come when their rule says so, however many hypotheses disagree; where they cut, nothing is lost."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import EndpointRules, Recognizer, UsageError
from emf.runtime.arrays import FloatArray
from emf.runtime.recognition.stream_state import StreamClock, StreamState
from emf.runtime.search.emissions import Emissions
from emf.runtime.search.hypothesis import Hypothesis, SearchState
from emf.runtime.search.methods import METHODS
from tests.runtime.conftest import Load
from tests.signals import speech_like

VECTOR = np.zeros(1, np.float32)
SECONDS_PER_FRAME = 0.04
RULES = EndpointRules(silence_before_speech=0.4, silence_after_speech=0.2, max_length=1.0)


def opened(artifact: Path, endpoint: EndpointRules | None, **options: Any) -> Recognizer:
    return Recognizer.load(artifact, num_threads=1, endpoint=endpoint, **options)


def segments(recognizer: Recognizer, samples: FloatArray) -> list[tuple[int, ...]]:
    stream = recognizer.create_stream()
    stream.accept_waveform(16_000, samples)
    stream.input_finished()
    found: list[tuple[int, ...]] = []
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        if recognizer.is_endpoint(stream):
            before = recognizer.get_result(stream)
            result = recognizer.reset(stream)
            assert replace(before, stable_text=before.text, is_final=False, ends_segment=True) == result
            assert result.segment == len(found)
            found.append(result.token_ids)
    return [*found, recognizer.get_result(stream).token_ids]


def with_pauses(seed: int) -> FloatArray:
    pause = np.zeros(12_000, np.float32)
    return np.concatenate([part for i in range(4) for part in (speech_like(1.0, seed=seed + i), pause)])


@pytest.mark.parametrize("options", [{"decoding_method": "greedy"}, {"beam_width": 1}, {"stable_delay": 0.0}], ids=str)
@given(seed=st.integers(0, 50), silence=st.sampled_from([0.08, 0.3]), length=st.sampled_from([0.5, 20.0]))
def test_with_one_hypothesis_the_text_with_endpoints_equals_the_text_without(
    tiny_artifact: Path, options: dict[str, Any], seed: int, silence: float, length: float
) -> None:
    samples = with_pauses(seed)
    rules = EndpointRules(silence_before_speech=silence, silence_after_speech=silence, max_length=length)
    cut = segments(opened(tiny_artifact, rules, **options), samples)
    (whole,) = segments(opened(tiny_artifact, None, **options), samples)
    assert sum(cut, ()) == whole


@pytest.mark.parametrize("options", [{"beam_width": 4}, {"beam_width": 10, "stable_delay": 0.2}], ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_endpoints_come_with_the_first_step_after_their_rule(
    load: Load, backend: str, method: str, options: dict[str, Any]
) -> None:
    """The tiny model is never sure, so that its hypotheses never agree."""
    recognizer = load(backend=backend, decoding_method=method, endpoint=RULES, step_max_tokens=3, **options)
    stream = recognizer.create_stream()
    stream.accept_waveform(16_000, with_pauses(3))
    start, cuts = 0.0, 0
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        heard, spoken = stream.state.search.num_frames, recognizer.get_result(stream).timestamps
        now, frame = heard * recognizer.seconds_per_frame, recognizer.seconds_per_frame
        silence = now - (spoken[-1] + frame if spoken else start)
        due = RULES.ends(bool(spoken), silence + 1e-9, now - start + 1e-9)
        assert recognizer.is_endpoint(stream) == due
        if due:
            assert recognizer.reset(stream).start_time == start
            assert recognizer.get_result(stream).text == ""
            start, cuts = now, cuts + 1
    assert cuts > 3


def test_asking_for_an_endpoint_changes_nothing(tiny_artifact: Path) -> None:
    recognizer, plain = (opened(tiny_artifact, rules, beam_width=4) for rules in (RULES, None))
    assert recognizer.transcribe(with_pauses(1), 16_000) == plain.transcribe(with_pauses(1), 16_000)


def heard(*hypotheses: tuple[str, tuple[int, ...]], now: int) -> StreamState:
    """A stream whose hypotheses emitted letters at frames, best first."""
    found = tuple(
        Hypothesis(Emissions(tuple(map(ord, letters)), frames, (-0.1,) * len(frames)), -1.0, VECTOR, VECTOR)
        for letters, frames in hypotheses
    )
    return StreamState(None, SearchState(found, num_frames=now), clock=StreamClock())  # type: ignore[arg-type]


DISPUTES = [
    ("abc", (1, 5, 7)),  # the best and a token more, emitted long ago
    ("ab", (1, 9)),  # the same, aligned later
    ("a", (1,)),
    ("ax", (1, 5)),
    ("abd", (1, 5, 38)),  # a word that is just beginning
]


@pytest.mark.parametrize("others", [DISPUTES, *([one] for one in DISPUTES)], ids=str)
def test_the_rule_looks_at_the_best_hypothesis(others: list[tuple[str, tuple[int, ...]]]) -> None:
    for now in range(30, 45):
        state = heard(("ab", (1, 8)), *others, now=now)
        assert EndpointRules().end_segment(state, SECONDS_PER_FRAME) == (now >= 9 + 30)


def texts(state: StreamState) -> list[str]:
    return ["".join(map(chr, h.tokens)) for h in state.search.hypotheses]


def test_what_continues_the_text_goes_on_and_what_contradicts_it_is_dropped() -> None:
    state = heard(("ab", (1, 8)), *DISPUTES, now=40)
    state.begin_segment((ord("a"), ord("b")))
    assert texts(state) == ["", "c", "", "d"], "of equal texts, these tell two alignments apart"
    assert (state.search.num_committed, state.clock) == (2, StreamClock(0, 1, 40))
    state.search = heard(("", ()), ("c", (7,)), ("de", (38, 60)), ("f", (60,)), now=100).search
    state.begin_segment(())
    assert texts(state) == ["", "f"], "no dispute outlasts two segments"


def test_a_word_that_wins_after_the_cut_is_a_segment_of_its_own() -> None:
    """Its silence is already over, so that it ends at once."""
    state = heard(("c", (7,)), now=41)
    state.clock = StreamClock(10, 1, 40)
    assert EndpointRules().end_segment(state, SECONDS_PER_FRAME)


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


@pytest.mark.parametrize("delay", [0.0, 0.2])
@pytest.mark.parametrize("method", ["beam", "modified_beam"])
def test_stable_delay_bounds_every_disagreement(load: Load, backend: str, method: str, delay: float) -> None:
    recognizer = load(
        backend=backend, decoding_method=method, beam_width=4, step_max_tokens=3, endpoint=None, stable_delay=delay
    )
    stream = recognizer.create_stream()
    stream.accept_waveform(16_000, speech_like(4.0))
    stable = ""
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        result = recognizer.get_result(stream)
        assert result.stable_text.startswith(stable)
        stable, search = result.stable_text, stream.state.search
        settled = search.num_frames - round(delay / recognizer.seconds_per_frame)
        assert all(disputed_since(h, search.best) >= settled for h in search.hypotheses)
        assert delay or result.stable_text == result.text
    assert stable


def disputed_since(one: Hypothesis, other: Hypothesis) -> float:
    """The frame of the first token of either that the other does not have in its place."""
    pairs = zip(one.tokens, other.tokens, strict=False)
    shared = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one.tokens), len(other.tokens)))
    return min([*one.emissions.frames[shared:], *other.emissions.frames[shared:]], default=float("inf"))
