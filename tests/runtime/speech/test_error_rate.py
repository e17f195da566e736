"""Error rates equal jiwer's."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.speech.error_rate import EditCounts, count_errors, matches, normalize, word_errors

WORDS = st.lists(st.sampled_from(["a", "b", "cc", "d"]), max_size=8)


@given(reference=WORDS.filter(bool), hypothesis=WORDS)
def test_word_error_rate_is_jiwers(reference: list[str], hypothesis: list[str]) -> None:
    ours = word_errors([(" ".join(reference), " ".join(hypothesis))])
    theirs = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    assert ours.rate == pytest.approx(theirs.wer)
    assert ours.total == theirs.substitutions + theirs.deletions + theirs.insertions
    assert ours.insertions - ours.deletions == theirs.insertions - theirs.deletions


@given(pairs=st.lists(st.tuples(WORDS.filter(bool), WORDS), min_size=1, max_size=4))
def test_a_corpus_is_weighted_by_length(pairs: list[tuple[list[str], list[str]]]) -> None:
    texts = [(" ".join(reference), " ".join(hypothesis)) for reference, hypothesis in pairs]
    assert word_errors(texts).rate == pytest.approx(jiwer.wer([r for r, _ in texts], [h for _, h in texts]))


@given(reference=st.text("abc", min_size=1, max_size=12), hypothesis=st.text("abc", max_size=12))
def test_items_may_be_characters(reference: str, hypothesis: str) -> None:
    theirs = jiwer.process_characters(reference, hypothesis)
    assert count_errors(reference, hypothesis).total == (theirs.substitutions + theirs.deletions + theirs.insertions)


@given(reference=WORDS, hypothesis=WORDS)
def test_matches_are_those_of_a_shortest_alignment(reference: list[str], hypothesis: list[str]) -> None:
    found = matches(reference, hypothesis)
    errors = count_errors(reference, hypothesis)
    assert len(found) == len(hypothesis)
    assert len(hypothesis) - sum(found) == errors.substitutions + errors.insertions
    left = iter(reference)
    assert all(word in left for word, match in zip(hypothesis, found, strict=True) if match), "in order"


@given(reference=st.permutations("abcdef"), hypothesis=st.lists(st.sampled_from("abcxyz"), min_size=1, max_size=8))
def test_matches_are_jiwers_where_there_is_no_choice(reference: list[str], hypothesis: list[str]) -> None:
    """Two shortest alignments may differ in what they match, but neither is shorter: hits less deletions are equal."""
    hits = sum(matches(reference, hypothesis))
    theirs = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    deletions = count_errors(reference, hypothesis).deletions
    assert hits - deletions == theirs.hits - theirs.deletions


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [("a b c", "a b c", "111"), ("a b c", "a c", "11"), ("a c", "a b c", "101"), ("a b", "x b", "01"), ("", "a", "0")],
)
def test_matches(reference: str, hypothesis: str, expected: str) -> None:
    assert matches(reference.split(), hypothesis.split()) == tuple(digit == "1" for digit in expected)


def test_a_recording_of_hours_is_compared_in_seconds() -> None:
    """Twenty thousand words: a table of all pairs would take gigabytes and minutes."""
    reference = [f"word{index * 7919 % 5003}" for index in range(20_000)]
    hypothesis = [word for index, word in enumerate(reference) if index % 10]
    assert count_errors(reference, hypothesis) == EditCounts(deletions=2_000, reference_length=20_000)
    assert all(matches(reference, hypothesis))


def test_an_empty_reference_counts_insertions() -> None:
    assert count_errors([], []).rate == 0.0
    assert count_errors([], ["a"]).rate == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "hello world"),
        ("It's  o\u2019clock", "it's o'clock"),
        ("'quoted'", "quoted"),
        ("a_b\tc", "a b c"),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert normalize(text) == expected
