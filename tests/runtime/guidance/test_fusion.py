"""Fusion: every word counts once, as soon as it has ended; against enumerations on models that are tables."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import LanguageModel, UsageError
from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.guidance.arpa import read_arpa
from emf.runtime.guidance.fusion import Fusion
from emf.runtime.guidance.guidance import Guidance, Place
from emf.runtime.guidance.ngrams import Ngrams
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.methods import end_words
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import advance
from tests.runtime.guidance.arpa_text import SMALL, text_score, to_arpa
from tests.runtime.search.searching import search as search_table
from tests.runtime.search.table_model import TableModel, all_scores
from tests.tolerances import LOG_SUM

PIECES = ("\u2581a", "b", "\u2581", "\u2581b", "<unk>", "a", "<blank>")
TABLE = TokenTable(PIECES, frozenset({4, 6}))
WEIGHT, WORD_SCORE = 0.7, 0.4
guided = pytest.mark.parametrize("method", ["beam", "modified_beam"])


@pytest.fixture(scope="module")
def ngrams(tmp_path_factory: pytest.TempPathFactory) -> Ngrams:
    path = tmp_path_factory.mktemp("fusion") / "small.arpa"
    path.write_text(to_arpa(SMALL), encoding="utf-8")
    return read_arpa(path)


@pytest.fixture(scope="module")
def fusion(ngrams: Ngrams) -> Fusion:
    return Fusion(LanguageModel(ngrams, WEIGHT, WORD_SCORE), TABLE)


def expected_score(tokens: tuple[int, ...], ended: bool) -> float:
    """What the words of a text add: all of them, or those before the open one."""
    text = "".join("" if token in TABLE.hidden_ids else PIECES[token] for token in tokens)
    words = text.split("\u2581")
    return text_score(SMALL, [word for word in (words if ended else words[:-1]) if word], WEIGHT, WORD_SCORE)


def search(
    method: str, model: TableModel, options: SearchOptions, fusion: Fusion | None, pieces: int = 1
) -> SearchState:
    return search_table(advance, method, model, options, Guidance(fusion=fusion), pieces)


@given(tokens=st.lists(st.integers(0, 5), max_size=10))
def test_every_word_counts_once(fusion: Fusion, tokens: list[int]) -> None:
    place, score = fusion.root, 0.0
    for token in tokens:
        score += float(fusion.gains([place], np.array([[token]]))[0, 0])
        place = fusion.advance(place, token)
        assert place == fusion.place(place.context, place.word), "a place can be made again from what it says"
    assert score == pytest.approx(expected_score(tuple(tokens), ended=False), abs=1e-4)
    assert score + place.ending == pytest.approx(expected_score(tuple(tokens), ended=True), abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", [1, 2])
def test_wide_beam_search_adds_the_language_model_to_every_sequence(fusion: Fusion, seed: int, limit: int) -> None:
    model = TableModel(num_frames=3, num_tokens=2, seed=seed)
    acoustic = all_scores(model, limit)
    state = search("beam", model, SearchOptions(beam_width=1000, step_max_tokens=limit), fusion)
    running = {tokens: score + expected_score(tokens, ended=False) for tokens, score in acoustic.items()}
    assert {h.tokens: h.score for h in state.hypotheses} == pytest.approx(running, rel=LOG_SUM, abs=LOG_SUM)
    total = {tokens: score + expected_score(tokens, ended=True) for tokens, score in acoustic.items()}
    ended = end_words(state, SearchOptions()).hypotheses
    assert {h.tokens: h.score for h in ended} == pytest.approx(total, rel=LOG_SUM, abs=LOG_SUM)
    assert [h.tokens for h in ended] == sorted(total, key=lambda t: total[t] / (len(t) + 2), reverse=True)
    without = sorted(acoustic, key=lambda t: acoustic[t] / (len(t) + 2), reverse=True)
    assert [h.tokens for h in ended] != without, "it must have mattered"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", [2, 4])
def test_modified_beam_search_prunes_and_ranks_with_the_language_model(fusion: Fusion, seed: int, width: int) -> None:
    """Against its definition, written out, as in `test_searches_exactly`."""
    model = TableModel(num_frames=12, num_tokens=6, seed=seed)
    beam: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    for frame in range(12):
        candidates = []
        for tokens, score in beam:
            for symbol in range(7):
                longer = tokens if symbol == 6 else (*tokens, symbol)
                gain = expected_score(longer, ended=False) - expected_score(tokens, ended=False)
                candidates.append((longer, score + gain + model.log_prob(frame, [6, *tokens][-1], symbol)))
        merged: dict[tuple[int, ...], float] = {}
        for tokens, score in sorted(candidates, key=lambda c: -c[1])[:width]:
            merged[tokens] = float(np.logaddexp(merged.get(tokens, -math.inf), score))
        beam = sorted(merged.items(), key=lambda c: c[1] / (len(c[0]) + 1), reverse=True)
    state = search("modified_beam", model, SearchOptions(beam_width=width), fusion)
    assert [h.tokens for h in state.hypotheses] == [tokens for tokens, _ in beam]
    assert [h.score for h in state.hypotheses] == pytest.approx([score for _, score in beam], rel=1e-4)
    without = search("modified_beam", model, SearchOptions(beam_width=width), None)
    assert state.hypotheses[0].tokens != without.hypotheses[0].tokens, "it must have mattered"


@guided
@pytest.mark.parametrize("seed", range(4))
def test_frames_may_come_in_any_pieces(fusion: Fusion, method: str, seed: int) -> None:
    model, options = TableModel(12, 6, seed, blank_bias=1.0), SearchOptions(beam_width=4, step_max_tokens=3)
    assert search(method, model, options, fusion, pieces=5) == search(method, model, options, fusion)


@guided
@pytest.mark.parametrize("width", [1, 4, 20])
def test_with_weight_0_nothing_changes(ngrams: Ngrams, method: str, width: int) -> None:
    model, options = TableModel(20, 6, blank_bias=1.0), SearchOptions(beam_width=width, step_max_tokens=3)
    state = search(method, model, options, Fusion(LanguageModel(ngrams, weight=0.0), TABLE))
    ended = end_words(state, SearchOptions()).hypotheses
    without = search(method, model, options, None)
    assert [h._replace(place=Place()) for h in state.hypotheses] == list(without.hypotheses)
    assert {h.tokens: h.score for h in ended} == {h.tokens: h.score for h in without.hypotheses}
    assert without.hypotheses[0].tokens, "a table that says nothing tests nothing"


def test_an_endless_word_does_not_grow(fusion: Fusion) -> None:
    place = fusion.root
    for _ in range(1000):
        place = fusion.advance(place, 1)
    assert len(place.word) < 10
    assert place.ending == pytest.approx(text_score(SMALL, ["b" * 1000], WEIGHT, WORD_SCORE))


@pytest.mark.parametrize(("word", "spelled"), [("ab", "AB"), ("AB", "ab"), ("Ab", "Ab")])
def test_capitals_do_not_matter(tmp_path: Path, word: str, spelled: str) -> None:
    """A model in capitals, or without, serves a recognizer that writes the other way."""
    (tmp_path / "model.arpa").write_text(to_arpa({("<unk>",): (-5.0, 0.0), (word,): (-1.0, 0.0)}), encoding="utf-8")
    model = LanguageModel.read(tmp_path / "model.arpa", weight=1.0)
    fusion = Fusion(model, TokenTable(("\u2581" + spelled[0], spelled[1:]), frozenset()))
    place = fusion.advance(fusion.advance(fusion.root, 0), 1)
    assert place.ending == pytest.approx(-math.log(10.0))


@pytest.mark.parametrize(
    ("word", "pieces", "message"),
    [
        ("\u2581a", ("\u2581a", "b"), "of words, found pieces"),
        ("\u03b1\u03b2", ("\u2581a", "b"), "none of 1 words that its pieces can write"),
        ("ac", ("\u2581a", "b"), "none of 1 words that its pieces can write"),
        ("ab", ("\u2581a", "\u2581a\u2581b"), "pieces within words"),
    ],
)
def test_models_that_do_not_fit_are_refused(tmp_path: Path, word: str, pieces: tuple[str, ...], message: str) -> None:
    (tmp_path / "model.arpa").write_text(to_arpa({(word,): (-1.0, 0.0)}), encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        Fusion(LanguageModel.read(tmp_path / "model.arpa"), TokenTable(pieces, frozenset()))


@pytest.mark.parametrize(
    "numbers", [{"weight": -0.1}, {"weight": math.nan}, {"weight": 1e9}, {"word_score": math.inf}], ids=str
)
def test_numbers_that_make_no_sense(ngrams: Ngrams, numbers: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected"):
        LanguageModel(ngrams, **numbers)
