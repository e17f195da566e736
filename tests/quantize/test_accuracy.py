"""Error rates against independent counts, and the bootstrap against what it must say."""

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.quantize.accuracy import EditTotals, character_error_rate, paired_bootstrap, token_agreement, word_counts
from emf.runtime.speech.error_rate import word_errors

WORDS = st.lists(st.sampled_from(["one", "two", "three", "four"]), min_size=1, max_size=8).map(" ".join)
PAIRS = st.lists(st.tuples(WORDS, st.one_of(WORDS, st.just(""))), min_size=1, max_size=6)


@given(PAIRS)
def test_counts_are_those_of_jiwer_and_of_the_runtime(pairs: list[tuple[str, str]]) -> None:
    references, texts = [r for r, _ in pairs], [t for _, t in pairs]
    counts = word_counts(references, texts)
    assert counts.rate == pytest.approx(jiwer.wer(references, texts))
    assert counts.rate == pytest.approx(word_errors(pairs).rate)
    assert character_error_rate(references, texts) == pytest.approx(jiwer.cer(references, texts))
    totals = jiwer.process_words(references, texts)
    assert counts.totals() == EditTotals(totals.substitutions, totals.deletions, totals.insertions)


def test_case_and_punctuation_do_not_count() -> None:
    assert word_counts(["it's two, three"], ["It's TWO three."]).rate == 0.0


def test_token_agreement() -> None:
    expected = [(1, 2, 3, 4), (5, 6)]
    assert token_agreement(expected, expected) == 1.0
    assert token_agreement(expected, [(1, 2, 3), (5, 6)]) == pytest.approx(5 / 6)
    assert token_agreement(expected, [(), ()]) == 0.0
    assert token_agreement([()], [()]) == 1.0
    assert token_agreement([()], [(1,)]) == 0.0


def test_the_interval_of_no_change_is_zero() -> None:
    counts = word_counts(["one two", "three"] * 10, ["one", "three"] * 10)
    assert paired_bootstrap(counts, counts) == (0.0, 0.0)


def test_the_interval_covers_the_true_change_and_is_paired() -> None:
    references = ["one two three four"] * 400
    random = np.random.default_rng(0)
    hard = random.random(400) < 0.5
    worse = random.random(400) < 0.1
    baseline = word_counts(references, ["one two" if h else r for h, r in zip(hard, references, strict=True)])
    texts = ["" if h and w else "one two" if h else r for h, w, r in zip(hard, worse, references, strict=True)]
    variant = word_counts(references, texts)
    low, high = paired_bootstrap(baseline, variant)
    change = variant.rate - baseline.rate
    assert low < change < high
    # Unpaired, the spread of hard utterances alone would make it four times as wide.
    assert high - low < 0.03
