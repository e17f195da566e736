"""The searches against enumerations and tiny implementations of their own, on models that are tables."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.search.methods import METHODS
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import Advance
from tests.runtime.search.searching import IMPLEMENTATIONS, search
from tests.runtime.search.table_model import TableModel, all_scores
from tests.tolerances import LOG_SUM

thresholds = pytest.mark.parametrize("threshold", [math.inf, 4.0, 0.7])
seeds = pytest.mark.parametrize("seed", range(6))
methods = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module", params=IMPLEMENTATIONS.values(), ids=list(IMPLEMENTATIONS))
def step(request: pytest.FixtureRequest) -> Advance:
    """Each implementation of the search of a step."""
    found: Advance = request.param
    return found


@seeds
@pytest.mark.parametrize("limit", [1, 2])
def test_wide_beam_search_finds_every_sequence_with_its_whole_probability(step: Advance, seed: int, limit: int) -> None:
    model = TableModel(num_frames=3, num_tokens=2, seed=seed)
    expected = all_scores(model, limit)
    state = search(step, "beam", model, SearchOptions(beam_width=1000, step_max_tokens=limit))
    found = {h.tokens: h.score for h in state.hypotheses}
    assert found == pytest.approx(expected, rel=LOG_SUM, abs=LOG_SUM)
    ranked = sorted(expected, key=lambda tokens: expected[tokens] / (len(tokens) + 2), reverse=True)
    assert state.hypotheses[0].tokens == ranked[0]


@seeds
def test_wide_modified_beam_search_finds_every_sequence_of_one_token_a_frame(step: Advance, seed: int) -> None:
    model = TableModel(num_frames=4, num_tokens=2, seed=seed)

    def one_symbol_a_frame() -> dict[tuple[int, ...], float]:
        """Scores where a frame gives either a token or the blank, but not both."""
        scores: dict[tuple[int, ...], float] = {(): 0.0}
        for frame in range(4):
            new: dict[tuple[int, ...], float] = {}
            for tokens, score in scores.items():
                last = tokens[-1] if tokens else model.blank_id
                for symbol in range(3):
                    longer = tokens if symbol == model.blank_id else (*tokens, symbol)
                    total = score + model.log_prob(frame, last, symbol)
                    new[longer] = float(np.logaddexp(new.get(longer, -math.inf), total))
            scores = new
        return scores

    state = search(step, "modified_beam", model, SearchOptions(beam_width=1000))
    assert {h.tokens: h.score for h in state.hypotheses} == pytest.approx(one_symbol_a_frame(), rel=LOG_SUM)


@seeds
@thresholds
@pytest.mark.parametrize("width", [1, 3, 7])
def test_beam_search_prunes_and_ranks_like_its_definition(
    step: Advance, seed: int, width: int, threshold: float
) -> None:
    model, limit = TableModel(num_frames=12, num_tokens=5, seed=seed, blank_bias=1.0), 3
    beam: dict[tuple[int, ...], float] = {(): 0.0}
    for frame in range(12):
        active, finished = list(beam.items()), dict[tuple[int, ...], float]()
        for expansion in range(limit + 1):
            for tokens, score in active:
                total = score + model.log_prob(frame, [5, *tokens][-1], 5)
                finished[tokens] = float(np.logaddexp(finished.get(tokens, -math.inf), total))
            scores = sorted(finished.values(), reverse=True)
            floor = max(scores[0] - threshold, scores[width - 1] if len(scores) >= width else -math.inf)
            extended = [
                ((*tokens, symbol), score + model.log_prob(frame, [5, *tokens][-1], symbol))
                for tokens, score in active
                for symbol in range(5)
            ]
            extended.sort(key=lambda candidate: -candidate[1])
            active = [candidate for candidate in extended[:width] if candidate[1] > floor]
            if not active or expansion == limit:
                break
        best = sorted(finished.items(), key=lambda c: c[1] / (len(c[0]) + 2), reverse=True)[:width]
        highest = max(score for _, score in best)
        beam = {tokens: score for tokens, score in best if score >= highest - threshold}
    state = search(
        step, "beam", model, SearchOptions(beam_width=width, step_max_tokens=limit, beam_threshold=threshold)
    )
    assert [h.tokens for h in state.hypotheses] == list(beam)
    assert [h.score for h in state.hypotheses] == pytest.approx(list(beam.values()), rel=LOG_SUM)
    assert state.hypotheses[0].tokens, "a table that says nothing tests nothing"


@seeds
@thresholds
@pytest.mark.parametrize("width", [1, 3, 7])
def test_modified_beam_search_prunes_and_ranks_like_its_definition(
    step: Advance, seed: int, width: int, threshold: float
) -> None:
    model = TableModel(num_frames=12, num_tokens=5, seed=seed)
    beam: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    for frame in range(12):
        candidates = [
            (tokens if symbol == 5 else (*tokens, symbol), score + model.log_prob(frame, [5, *tokens][-1], symbol))
            for tokens, score in beam
            for symbol in range(6)
        ]
        merged: dict[tuple[int, ...], float] = {}
        candidates.sort(key=lambda c: -c[1])
        for tokens, score in candidates[:width]:
            if score >= candidates[0][1] - threshold:
                merged[tokens] = float(np.logaddexp(merged.get(tokens, -math.inf), score))
        beam = sorted(merged.items(), key=lambda c: c[1] / (len(c[0]) + 1), reverse=True)
        beam = [(tokens, score) for tokens, score in beam if score >= max(merged.values()) - threshold]
    state = search(step, "modified_beam", model, SearchOptions(beam_width=width, beam_threshold=threshold))
    assert [h.tokens for h in state.hypotheses] == [tokens for tokens, _ in beam]
    assert [h.score for h in state.hypotheses] == pytest.approx([score for _, score in beam], rel=LOG_SUM)


@seeds
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_greedy_search_takes_the_best_symbol_until_it_is_the_blank(step: Advance, seed: int, limit: int) -> None:
    model = TableModel(num_frames=20, num_tokens=6, seed=seed, blank_bias=2.0)
    tokens: list[int] = []
    times: list[int] = []
    score = 0.0
    for frame in range(20):
        for emitted in range(limit + 1):
            last = tokens[-1] if tokens else model.blank_id
            symbol = int(np.argmax(model.table[frame, last])) if emitted < limit else model.blank_id
            score += model.log_prob(frame, last, symbol)
            if symbol == model.blank_id:
                break
            tokens.append(symbol)
            times.append(frame)
    (best,) = search(step, "greedy", model, SearchOptions(step_max_tokens=limit)).hypotheses
    assert best.tokens == tuple(tokens)
    assert best.emissions.frames == tuple(times)
    assert best.score == pytest.approx(score, rel=LOG_SUM)
    assert tokens, "a table that says nothing tests nothing"


@methods
@given(cuts=st.lists(st.integers(0, 10), max_size=6), seed=st.integers(0, 5))
def test_frames_may_come_in_any_pieces(step: Advance, method: str, cuts: list[int], seed: int) -> None:
    model = TableModel(10, 4, seed, blank_bias=1.0)
    options = SearchOptions(decoding_method=method, beam_width=3, step_max_tokens=3)
    state = model.start()
    for piece in np.split(model.frames, sorted(cuts)):
        (state,) = step(piece[None], [state], model, options)
    assert state == search(step, method, model, options)


@methods
@given(offsets=st.lists(st.integers(0, 5), min_size=1, max_size=5), seed=st.integers(0, 5))
def test_streams_searched_together_find_what_each_finds_alone(
    step: Advance, method: str, offsets: list[int], seed: int
) -> None:
    """Each stream hears other frames, and searches two steps."""
    model = TableModel(12, 4, seed, blank_bias=1.0)
    options = SearchOptions(decoding_method=method, beam_width=3, step_max_tokens=3)
    together = alone = [model.start()] * len(offsets)
    for begin in (0, 3):
        frames = np.stack([model.frames[begin + offset : begin + offset + 3] for offset in offsets])
        together = step(frames, together, model, options)
        alone = [step(one[None], [state], model, options)[0] for one, state in zip(frames, alone, strict=True)]
    assert together == alone


@methods
def test_no_more_hypotheses_than_the_beam_is_wide(step: Advance, method: str) -> None:
    model = TableModel(8, 4, blank_bias=1.0)
    for width in (1, 2, 7):
        hypotheses = search(step, method, model, SearchOptions(beam_width=width, step_max_tokens=3)).hypotheses
        assert len(hypotheses) <= width
        assert len({h.tokens for h in hypotheses}) == len(hypotheses)


@pytest.mark.parametrize("method", ["beam", "modified_beam"])
@seeds
def test_a_threshold_spares_predictions_where_the_model_is_sure(step: Advance, method: str, seed: int) -> None:
    texts, predictions = [], []
    for threshold in (math.inf, 8.0):
        model = TableModel(40, 6, seed, blank_bias=5.0)
        model.table *= 4.0
        options = SearchOptions(step_max_tokens=1, beam_threshold=threshold)
        texts.append(search(step, method, model, options).hypotheses[0].tokens)
        predictions.append(model.num_predictions)
    assert texts[0] == texts[1]
    assert predictions[1] < predictions[0]


def test_predictions_are_not_computed_twice(step: Advance) -> None:
    """At most one prediction for each sequence that a frame brings up."""
    model = TableModel(30, 4, blank_bias=3.0)
    options = SearchOptions(beam_width=4, step_max_tokens=2)
    search(step, "beam", model, options)
    assert model.num_predictions <= 1 + 30 * options.beam_width * options.step_max_tokens


def _direct(model: TableModel, change: Callable[[np.ndarray], None]) -> TableModel:
    changed = TableModel(len(model.table), model.blank_id)
    changed.table = model.table.copy()
    change(changed.table)
    return changed


@methods
@seeds
@pytest.mark.parametrize("penalty", [-20.0, -1.5, 0.7, 5.0, 30.0, 100.0])
def test_blank_penalty_is_taken_from_the_blanks_logit(step: Advance, method: str, seed: int, penalty: float) -> None:
    model = TableModel(6, 3, seed, blank_bias=2.0)
    penalised = _direct(model, lambda table: np.subtract(table[:, :, -1], np.float32(penalty), out=table[:, :, -1]))
    found = search(step, method, model, SearchOptions(beam_width=3, step_max_tokens=4, blank_penalty=penalty))
    expected = search(step, method, penalised, SearchOptions(beam_width=3, step_max_tokens=4))
    assert [h.tokens for h in found.hypotheses] == [h.tokens for h in expected.hypotheses]
    assert [h.score for h in found.hypotheses] == pytest.approx([h.score for h in expected.hypotheses], abs=1e-3)


@methods
@seeds
@pytest.mark.parametrize("temperature", [0.3, 2.5])
def test_temperature_divides_the_logits(step: Advance, method: str, seed: int, temperature: float) -> None:
    model = TableModel(6, 3, seed, blank_bias=2.0)
    cooled = _direct(model, lambda table: np.divide(table, np.float32(temperature), out=table))
    found = search(step, method, model, SearchOptions(beam_width=3, step_max_tokens=4, temperature=temperature))
    expected = search(step, method, cooled, SearchOptions(beam_width=3, step_max_tokens=4))
    assert [h.tokens for h in found.hypotheses] == [h.tokens for h in expected.hypotheses]
    assert [h.score for h in found.hypotheses] == pytest.approx([h.score for h in expected.hypotheses], abs=1e-3)
