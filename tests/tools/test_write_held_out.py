"""The language models written for the documentation's figures: probabilities must sum to one behind every word."""

import math
import sys
from pathlib import Path

import pytest

from emf.runtime import LanguageModel

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from write_held_out import bigrams, spells_a_name, unigrams

TEXTS = ["erase a b", "a b c", "enter nine nine", "a", "nine a b"]


def entries(arpa: str, order: int) -> dict[tuple[str, ...], tuple[float, float]]:
    """Probability and backoff weight of each n-gram of one order."""
    section = arpa.split(f"\\{order}-grams:\n")[1].split("\n\n")[0]
    rows = [line.split("\t") for line in section.splitlines()]
    return {tuple(row[1].split()): (10 ** float(row[0]), 10 ** float(row[2] if len(row) > 2 else 0)) for row in rows}


def test_probabilities_sum_to_one() -> None:
    arpa = bigrams(TEXTS)
    single, double = entries(arpa, 1), entries(arpa, 2)
    words = [word for word in single if word != ("<s>",)]
    assert sum(single[word][0] for word in words) == pytest.approx(1.0, abs=1e-3)
    for before, (_, backoff) in single.items():
        if before in (("</s>",), ("<unk>",)):
            continue
        total = sum(double[pair][0] if (pair := before + w) in double else backoff * single[w][0] for w in words)
        assert total == pytest.approx(1.0, abs=2e-3), before


def test_the_runtime_reads_both(tmp_path: Path) -> None:
    for name, arpa in (("bigrams", bigrams(TEXTS)), ("unigrams", unigrams(["one", "two", "one"]))):
        path = tmp_path / f"{name}.arpa"
        path.write_text(arpa)
        assert LanguageModel.read(path, weight=1.0)
    assert math.isclose(entries(unigrams(["one", "two"]), 1)[("one",)][0], 0.5, abs_tol=1e-4)


def test_names_are_spelled() -> None:
    assert spells_a_name("a n n") and not spells_a_name("a n") and not spells_a_name("a n nine")
