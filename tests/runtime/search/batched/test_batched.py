"""The searches of a batch over arrays equal those of each stream, to the last bit, step by step."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emf.runtime import LanguageModel, Recognizer
from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.guidance.arpa import read_arpa
from emf.runtime.guidance.biasing import Biasing
from emf.runtime.guidance.fusion import Fusion
from emf.runtime.guidance.guidance import Guidance
from emf.runtime.recognition import batch_step
from emf.runtime.search.agreement import commit, common_prefix_length, settle
from emf.runtime.search.batched import advance as batched_advance
from emf.runtime.search.batched.advance import advance, advance_batch
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.methods import METHODS
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import Advance
from emf.runtime.search.run import advance as advance_one_by_one
from tests.runtime.guidance.arpa_text import SMALL, to_arpa
from tests.runtime.search.table_model import TableModel
from tests.signals import speech_like

PIECES = ("\u2581a", "b", "\u2581", "\u2581b", "a", "<blank>")
TABLE = TokenTable(PIECES, frozenset({5}))
NUM_FRAMES = 12


@pytest.fixture(scope="module")
def guidances(tmp_path_factory: pytest.TempPathFactory) -> list[Guidance]:
    path = tmp_path_factory.mktemp("batched") / "small.arpa"
    path.write_text(to_arpa(SMALL), encoding="utf-8")
    biasing, fusion = Biasing({"ab": 3.0, "b": 1.0}, TABLE), Fusion(LanguageModel(read_arpa(path), 0.7, 0.4), TABLE)
    return [Guidance(), Guidance(biasing), Guidance(fusion=fusion), Guidance(biasing, fusion)]


def after_commit(state: SearchState, settled_after: int | None) -> SearchState:
    """As a stream goes on between two steps."""
    if settled_after is not None:
        state = settle(state, state.num_frames - settled_after)
    return commit(state, common_prefix_length(state.hypotheses))


def roll(
    step: Advance,
    model: TableModel,
    starts: Sequence[SearchState],
    offsets: Sequence[int],
    options: SearchOptions,
    frames: int,
    settled_after: int | None,
) -> list[list[SearchState]]:
    """The states of all streams after every step; each stream begins at a frame of its own."""
    rolled = [list(starts)]
    for begin in range(0, NUM_FRAMES, frames):
        turned = [np.roll(model.frames, -offset, axis=0)[begin : begin + frames] for offset in offsets]
        states = step(np.stack(turned), rolled[-1], model, options)
        rolled.append([after_commit(state, settled_after) for state in states])
    return rolled


def assert_equal(found: SearchState, expected: SearchState) -> None:
    assert (found.num_frames, found.num_committed) == (expected.num_frames, expected.num_committed)
    for one, other in zip(found.hypotheses, expected.hypotheses, strict=True):
        assert one.emissions == other.emissions
        assert (one.score, one.place) == (other.score, other.place)
        assert (one.prediction == other.prediction).all() and (one.state == other.state).all()


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    method=st.sampled_from(sorted(METHODS)),
    width=st.integers(1, 7),
    threshold=st.sampled_from([math.inf, 5.0, 1.0]),
    most=st.sampled_from([1, 2, 100]),
    penalty=st.sampled_from([0.0, 0.7]),
    bias=st.sampled_from([0.0, 2.0, 4.0]),
    streams=st.lists(st.tuples(st.integers(0, NUM_FRAMES - 1), st.integers(0, 3)), min_size=1, max_size=6),
    frames=st.sampled_from([1, 4, 12]),
    settled_after=st.sampled_from([None, 2]),
    at_once=st.sampled_from([2, 32]),
)
def test_a_batch_equals_its_streams(
    guidances: list[Guidance],
    seed: int,
    method: str,
    width: int,
    threshold: float,
    most: int,
    penalty: float,
    bias: float,
    streams: list[tuple[int, int]],
    frames: int,
    settled_after: int | None,
    at_once: int,
) -> None:
    model = TableModel(NUM_FRAMES, num_tokens=5, seed=seed, blank_bias=bias)
    options = SearchOptions(
        decoding_method=method,
        beam_width=width,
        beam_threshold=threshold,
        step_max_tokens=most,
        blank_penalty=penalty,
        temperature=1.3,
    )
    # A penalty is computed from as many symbols as the batch asks for, which guidance decides: the same for all.
    guiding = [streams[0][1] if penalty else guidance for _, guidance in streams]
    starts = [model.start().guided_by(guidances[guidance]) for guidance in guiding]
    offsets = [offset for offset, _ in streams]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batched_advance, "_MOST_STREAMS", at_once)
        together = roll(advance_batch, model, starts, offsets, options, frames, settled_after)
    for index, (start, offset) in enumerate(zip(starts, offsets, strict=True)):
        alone = roll(advance_one_by_one, model, [start], [offset], options, frames, settled_after)
        for states, expected in zip(together, alone, strict=True):
            assert_equal(states[index], expected[0])


def test_a_prefix_that_was_met_before_is_predicted_once() -> None:
    model = TableModel(num_frames=NUM_FRAMES, num_tokens=2, seed=1)
    options, counts = SearchOptions(beam_width=4), []
    for step in (advance_batch, advance_one_by_one):
        model.num_predictions = 0
        step(model.frames[None], [model.start()], model, options)
        counts.append(model.num_predictions)
    assert counts[0] <= counts[1], "the batched search asks the predictor no more than the reference"


@pytest.mark.parametrize("method", sorted(METHODS))
def test_recordings_of_the_demo_say_the_same(demo_artifact: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = Recognizer.load(demo_artifact, backend="onnxruntime", num_threads=1, decoding_method=method)
    results = []
    for step in (advance, advance_one_by_one):
        monkeypatch.setattr(batch_step, "advance", step)
        streams = [recognizer.create_stream(phrases={"march": 2.0} if seed == 1 else {}) for seed in range(4)]
        for seed, stream in enumerate(streams):
            stream.accept_waveform(recognizer.sample_rate, speech_like(4.0, seed))
            stream.input_finished()
        recognizer.decode_ready(streams)
        results.append([recognizer.get_result(stream) for stream in streams])
    for found, expected in zip(*results, strict=True):
        assert (found.token_ids, found.timestamps) == (expected.token_ids, expected.timestamps)
        assert found.score == pytest.approx(expected.score, abs=1e-3)
    assert any(result.token_ids for result in results[0])
