"""Small n-gram models as dictionaries: written in ARPA form, and asked by the definition of back-off."""

import math
from collections.abc import Sequence
from typing import TypeAlias

from hypothesis import strategies as st

# Log10 of the probability of the last word, and of the back-off weight, by n-gram.
Table: TypeAlias = dict[tuple[str, ...], tuple[float, float]]

SMALL: Table = {
    ("<unk>",): (-3.0, 0.0),
    ("<s>",): (-99.0, -0.5),
    ("</s>",): (-1.0, 0.0),
    ("ab",): (-0.5, -0.25),
    ("a",): (-2.0, -1.0),
    ("b",): (-1.5, 0.5),
    ("<s>", "b"): (-0.125, -0.75),
    ("ab", "a"): (-0.0625, 0.0),
    ("a", "ab"): (-0.375, -0.25),
    ("<s>", "b", "ab"): (-0.75, 0.0),
    ("ab", "a", "a"): (-1.75, 0.0),
}


def to_arpa(table: Table) -> str:
    """The model in ARPA form, back-off weights of 0 left out."""
    highest = max(map(len, table))
    by_order = [{w: v for w, v in table.items() if len(w) == n} for n in range(1, highest + 1)]
    lines = ["\\data\\", *(f"ngram {n}={len(rows)}" for n, rows in enumerate(by_order, 1)), ""]
    for n, rows in enumerate(by_order, 1):
        lines.append(f"\\{n}-grams:")
        for words, (log10, backoff) in rows.items():
            lines.append(f"{log10}\t{' '.join(words)}" + (f"\t{backoff}" if backoff and n < highest else ""))
        lines.append("")
    return "\n".join([*lines, "\\end\\", ""])


def log10_prob(table: Table, context: Sequence[str], word: str) -> float:
    """P(w | c) is listed, or the weight of c times P(w | c without its first word)."""
    known = [w if (w,) in table else "<unk>" for w in (*context, word)]
    ngram = tuple(known[-max(map(len, table)) :])
    if ngram in table:
        return table[ngram][0]
    return table.get(ngram[:-1], (0.0, 0.0))[1] + log10_prob(table, ngram[1:-1], ngram[-1])


def text_score(table: Table, words: Sequence[str], weight: float, word_score: float = 0.0) -> float:
    """What fusion adds for words from the start of a sentence on, as a natural logarithm."""
    said = ["<s>", *words]
    log10 = sum(log10_prob(table, said[:index], said[index]) for index in range(1, len(said)))
    return weight * math.log(10.0) * log10 + word_score * len(words)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Any model of up to four words and order 3; the beginning of every n-gram is in it."""
    words = ["<unk>", "<s>", "a", "b"]
    values = st.tuples(st.integers(-40, 0).map(lambda n: n / 8), st.integers(-16, 16).map(lambda n: n / 8))
    table: Table = {(word,): draw(values) for word in words}
    for _ in range(2):
        shorter = [ngram for ngram in table if len(ngram) == max(map(len, table))]
        longer = [(*ngram, word) for ngram in shorter for word in words]
        table |= {ngram: draw(values) for ngram in draw(st.lists(st.sampled_from(longer), min_size=1, unique=True))}
    return table
