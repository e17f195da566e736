"""Probabilities with back-off against the definition, asked of a dictionary."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import UsageError
from emf.runtime.guidance.arpa import read_arpa
from emf.runtime.guidance.ngrams import Ngrams, Rows
from tests.runtime.guidance.arpa_text import SMALL, Table, log10_prob, tables, to_arpa


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ngrams") / "model.arpa"


def model(path: Path, table: Table) -> Ngrams:
    path.write_text(to_arpa(table), encoding="utf-8")
    return read_arpa(path)


@given(table=tables(), words=st.lists(st.sampled_from(["a", "b", "never heard"]), min_size=1, max_size=5))
def test_every_probability_is_that_of_the_definition(path: Path, table: Table, words: list[str]) -> None:
    ngrams = model(path, table)
    *context, word = map(ngrams.id_of, words)
    for begin in range(len(words)):
        expected = log10_prob(table, words[begin:-1], words[-1])
        assert ngrams.log10_prob(context[begin:], word) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab", -0.5),
        ("ab a", -0.0625),
        ("ab b", -0.25 - 1.5),
        ("a ab b", -0.25 - 0.25 - 1.5),
        ("<s> b ab", -0.75),
        ("<s> b a", -0.75 + 0.5 - 2.0),
        ("b ab a a", -1.75),
        ("ab other", -0.25 - 3.0),
        ("ab other a", -2.0),
    ],
)
def test_examples(path: Path, text: str, expected: float) -> None:
    ngrams = model(path, SMALL)
    *context, word = map(ngrams.id_of, text.split())
    assert ngrams.log10_prob(context, word) == pytest.approx(expected)


def test_without_a_word_for_the_unknown_they_are_a_tenth_as_likely_as_the_rarest(path: Path) -> None:
    ngrams = model(path, {ngram: value for ngram, value in SMALL.items() if ngram != ("<unk>",)})
    assert ngrams.log10_prob([], ngrams.id_of("other")) == pytest.approx(-2.0 - 1.0)
    assert ngrams.log10_prob([ngrams.id_of("ab")], ngrams.id_of("other")) == pytest.approx(-0.25 - 3.0)


def test_the_fingerprint_is_that_of_the_content(path: Path) -> None:
    one = model(path, SMALL).fingerprint
    path.write_bytes(to_arpa(SMALL).replace("\n", "\r\n\r\n").replace("\t", " ").encode())
    assert read_arpa(path).fingerprint == one
    for ngram, (log10, backoff) in SMALL.items():
        assert model(path, SMALL | {ngram: (log10 - 1.0, backoff)}).fingerprint != one
    assert model(path, SMALL | {("a",): (-2.0, 0.0)}).fingerprint != one


def test_ngrams_that_contradict_each_other_are_refused() -> None:
    def rows(*ids: tuple[int, ...]) -> Rows:
        return Rows(np.array(ids, np.int64), np.zeros(len(ids), np.float32), np.zeros(len(ids), np.float32))

    with pytest.raises(UsageError, match="'a b' is listed twice"):
        Ngrams(["a", "b"], [rows((0,), (1,)), rows((0, 1), (1, 1), (0, 1))])
    with pytest.raises(UsageError, match="'b a a' is listed, but its beginning 'b a' is not"):
        Ngrams(["a", "b"], [rows((0,), (1,)), rows((0, 1)), rows((0, 1, 1), (1, 0, 0))])
