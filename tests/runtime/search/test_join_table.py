"""Looking ahead changes the number of calls and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emf.runtime.arrays import FloatArray
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.methods import METHODS
from emf.runtime.search.model import Joined
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import run_searches
from tests.runtime.search.table_model import TableModel

STEP = 4


class CountingModel(TableModel):
    """Counts the calls of the joiner and their rows."""

    calls = rows = 0

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        self.calls, self.rows = self.calls + 1, self.rows + len(encodings)
        return super().join(encodings, predictions, temperature, top_k)


def search(model: TableModel, method: str, options: SearchOptions, look_ahead: bool) -> list[SearchState]:
    states = [model.start()]
    for begin in range(0, len(model.frames), STEP):
        frames = model.frames[begin : begin + STEP]
        states += run_searches([METHODS[method].search(frames, states[-1], options, look_ahead)], model, options)
    return states


def described(states: list[SearchState]) -> list[list[tuple[tuple[int, ...], tuple[int, ...], float]]]:
    return [[(h.tokens, h.emissions.frames, h.score) for h in state.hypotheses] for state in states]


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), width=st.integers(1, 6), bias=st.floats(-1.0, 6.0), tokens=st.integers(1, 4))
def test_the_result_is_the_same(method: str, seed: int, width: int, bias: float, tokens: int) -> None:
    options = SearchOptions(beam_width=width, step_max_tokens=tokens)
    found, expected = (
        described(search(TableModel(10, 5, seed, bias), method, options, ahead)) for ahead in (True, False)
    )
    assert found == expected


@pytest.mark.parametrize("method", METHODS)
def test_one_call_serves_a_step_in_which_nothing_is_said(method: str) -> None:
    model = CountingModel(4 * STEP, 5, blank_bias=60.0)
    search(model, method, SearchOptions(beam_width=1), look_ahead=True)
    assert model.calls == 4
    assert model.rows == 4 * STEP


def test_no_row_is_asked_for_in_vain_without_looking_ahead() -> None:
    model = CountingModel(STEP, 5, blank_bias=60.0)
    search(model, "greedy", SearchOptions(beam_width=1), look_ahead=False)
    assert (model.calls, model.rows) == (STEP, STEP)
    np.testing.assert_equal(model.num_predictions, 1)
