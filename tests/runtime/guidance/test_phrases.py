"""Phrases as callers and files give them: what is taken, what is refused, and where it stands."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emf.runtime import UsageError
from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.guidance.biasing import Biasing
from emf.runtime.guidance.phrases import check_phrases, parse_phrases, read_phrases
from emf.runtime.guidance.preparation import Preparation

TABLE = TokenTable(("\u2581", "a", "b", "c"), frozenset())


def test_phrase_files() -> None:
    assert parse_phrases(["# names", "new york\t4.5", "", "abc"]) == {"new york": 4.5, "abc": 6.0}
    with pytest.raises(UsageError, match="line 1"):
        parse_phrases(["abc\tmuch"])


def test_a_byte_order_mark_is_no_part_of_the_first_phrase(tmp_path: Path) -> None:
    (tmp_path / "phrases.txt").write_text("abc\n", encoding="utf-8-sig")
    assert read_phrases(tmp_path / "phrases.txt") == {"abc": 6.0}


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_files_that_are_no_text_are_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "phrases.txt").write_bytes(content)
    with pytest.raises(UsageError, match=r"phrases\.txt: expected a text file"):
        read_phrases(tmp_path / "phrases.txt")


@pytest.mark.parametrize("line", ["hello world :2.0", "hello :2", "a b : 1.5"])
def test_scores_as_sherpa_onnx_writes_them_are_explained(line: str) -> None:
    """Theirs count for each token; taken as ours, or as a part of the phrase, they would mislead without a word."""
    with pytest.raises(UsageError, match=r"names\.txt, line 2: expected the score behind a tab, .* whole phrase"):
        parse_phrases(["abc", line], "names.txt")


@pytest.mark.parametrize("bad", ["a\u00fcb", "abc\t1e9", "abc\tnan"])
def test_one_bad_phrase_among_thousands_is_found_by_its_line(bad: str) -> None:
    lines = [f"abc {'a' * (1 + i % 7)} {'b' * (1 + i // 7)}" for i in range(3000)]
    with pytest.raises(UsageError, match=r"names\.txt, line 1235: "):
        Biasing(parse_phrases([*lines[:1234], bad, *lines[1234:]], "names.txt"), TABLE)


@pytest.mark.parametrize(
    "phrases",
    [["one"], "one", {1: 2.0}, {"abc": "2"}, {"abc": None}, {"abc": True}, {"abc": np.nan}, {"": 1.0}, 5],
    ids=repr,
)
def test_what_is_no_phrases_with_scores_is_a_usage_error(phrases: Any) -> None:
    with pytest.raises(UsageError, match="expected"):
        check_phrases(phrases)


def test_numbers_of_numpy_are_taken() -> None:
    phrases: dict[str, Any] = {"abc": np.float32(2.5), "b": np.int64(3)}
    assert check_phrases(phrases) == (("abc", 2.5), ("b", 3.0))


def test_streams_that_ask_for_the_same_phrases_share_them() -> None:
    preparation = Preparation(TABLE)
    first = preparation.biasing({"abc": 6.0})
    assert first is not None
    assert preparation.biasing({"abc": np.float64(6)}) is first
    assert preparation.biasing({"abc": 5.0}) is not first
    assert preparation.biasing({}) is None


@pytest.mark.parametrize("model", ["x.arpa", 5, Path("x.arpa")], ids=repr)
def test_a_path_is_no_language_model(model: Any) -> None:
    with pytest.raises(UsageError, match=r"LanguageModel\.read"):
        Preparation(TABLE).fusion(model)
