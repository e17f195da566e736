"""What the searches share: options, the blank's penalty, commits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.errors import UsageError
from emf.runtime.search.agreement import commit, common_prefix_length, cut, settle
from emf.runtime.search.emissions import Emissions
from emf.runtime.search.hypothesis import Hypothesis, SearchState, within_threshold
from emf.runtime.search.model import Joined
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import advance, penalize_blank
from tests.runtime.search.table_model import TableModel, log_softmax
from tests.tolerances import SCORE

VECTOR = np.zeros(1, np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {"beam_width": 0},
        {"beam_width": 1001},
        {"step_max_tokens": 0},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"blank_penalty": float("inf")},
        {"blank_penalty": float("nan")},
        {"beam_threshold": 0.0},
        {"beam_width": 2.5},
        {"beam_width": True},
        {"temperature": "1"},
        {"decoding_method": "best"},
        {"beam_threshold": float("nan")},
    ],
    ids=str,
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        SearchOptions(**options)


@pytest.mark.parametrize("penalty", [-100.0, -5.0, 0.5, 5.0, 20.0, 100.0])
@pytest.mark.parametrize("confidence", [-30.0, 0.0, 8.0, 30.0, 80.0], ids="blank{}".format)
def test_blank_penalty_at_every_confidence(penalty: float, confidence: float) -> None:
    """Equal to the softmax of the changed logits, as far as the other symbols' float32 log-probabilities tell."""
    logits = np.array([[0.5, -1.0, 2.0, confidence]])
    log_probs = log_softmax(logits).astype(np.float32)
    joined = Joined(log_probs[:, 3], log_probs[:, [2, 0, 1]], np.array([[2, 0, 1]]))
    found = penalize_blank(joined, penalty)
    logits[0, 3] -= penalty
    expected = log_softmax(logits)
    np.testing.assert_allclose(found.blank, expected[:, 3], rtol=1e-5, atol=SCORE)
    np.testing.assert_allclose(found.top, expected[:, [2, 0, 1]], rtol=1e-5, atol=SCORE)
    assert found.top_ids.tolist() == [[2, 0, 1]]


def hypothesis(*tokens: int) -> Hypothesis:
    emissions = Emissions(tokens, tuple(range(len(tokens))), (-0.1,) * len(tokens))
    return Hypothesis(emissions, -1.0, VECTOR, VECTOR)


@given(prefix=st.lists(st.integers(0, 3)), tails=st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1))
def test_commit_takes_what_all_share(prefix: list[int], tails: list[list[int]]) -> None:
    hypotheses = tuple(hypothesis(*prefix, *tail) for tail in tails)
    count = common_prefix_length(hypotheses)
    assert count >= len(prefix)
    assert len({h.tokens[:count] for h in hypotheses}) == 1
    assert any(len(h.tokens) == count for h in hypotheses) or len({h.tokens[: count + 1] for h in hypotheses}) > 1
    state = commit(SearchState(hypotheses, num_committed=2, num_frames=9), count)
    assert (state.num_committed, state.num_frames) == (2 + count, 9)
    for before, after in zip(hypotheses, state.hypotheses, strict=True):
        assert after.emissions == before.emissions[count:]
        assert after.score == before.score


def at(tokens: tuple[int, ...], *frames: int) -> Hypothesis:
    return Hypothesis(Emissions(tokens, frames, (-0.1,) * len(tokens)), -1.0, VECTOR, VECTOR)


@pytest.mark.parametrize(
    ("other", "since"),
    [
        (at((1, 3), 2, 7), 6),  # replaced, by a later token
        (at((1, 3), 2, 5), 5),  # replaced, by an earlier token
        (at((1,), 2), 6),  # lacking
        (at((1, 2, 3), 2, 6, 9), 9),  # added
        (at((1, 2, 3, 4), 2, 4, 8, 20), 8),  # added, where the shared tokens are aligned otherwise
        (at((0, 1, 2), 1, 2, 6), 1),  # added in front
        (at(()), 2),
    ],
    ids=str,
)
def test_settling_ends_every_kind_of_disagreement(other: Hypothesis, since: int) -> None:
    state = SearchState((at((1, 2), 2, 6), other), num_frames=30)
    assert settle(state, since).hypotheses == state.hypotheses
    assert settle(state, since + 1).hypotheses == state.hypotheses[:1]


def test_equal_tokens_aligned_otherwise_are_no_disagreement() -> None:
    state = SearchState((at((1, 2), 2, 6), at((1, 2), 1, 20)))
    assert settle(state, 30) == state


@pytest.mark.parametrize("method", ["beam", "modified_beam"])
@given(seed=st.integers(0, 40))
def test_a_cut_that_drops_nothing_changes_nothing(method: str, seed: int) -> None:
    """Whatever the hypotheses have behind the text, they end as they would have ended without the cut."""
    model = TableModel(12, 3, seed, blank_bias=2.0)
    options = SearchOptions(decoding_method=method, beam_width=3, step_max_tokens=2)
    taken: tuple[int, ...] = ()
    whole = state = model.start()
    for frames in np.array_split(model.frames, 6):
        (whole,) = advance(frames[None], [whole], model, options)
        (state,) = advance(frames[None], [state], model, options)
        tokens = state.best.tokens
        if all(h.tokens[: len(tokens)] == tokens for h in state.hypotheses):
            state, taken = cut(state, tokens, 0), (*taken, *tokens)
    assert [(*taken, *h.tokens) for h in state.hypotheses] == [h.tokens for h in whole.hypotheses]
    assert [h.score for h in state.hypotheses] == pytest.approx([h.score for h in whole.hypotheses], abs=SCORE)


@pytest.mark.parametrize("worst", [-1e30, float("-inf"), float("nan")])
def test_without_a_threshold_every_hypothesis_stays(worst: float) -> None:
    hypotheses = [hypothesis(1), hypothesis(2)._replace(score=worst)]
    assert within_threshold(hypotheses, SearchOptions().beam_threshold) == hypotheses


def test_the_threshold_is_measured_from_the_best_score() -> None:
    near, far, best = (hypothesis(token)._replace(score=score) for token, score in ((1, -4.9), (2, -5.0), (3, -1.0)))
    assert within_threshold([near, far, best], 3.95) == [near, best]
