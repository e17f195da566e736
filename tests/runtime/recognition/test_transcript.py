"""Tokens as text, times and words: put together piece by piece they are what they are as a whole."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.recognition.result import Word
from emf.runtime.recognition.transcript import Spelling, Transcript
from emf.runtime.search.emissions import Emissions

TABLE = TokenTable(("<unk>", "\u2581he", "llo", "\u2581", "\u2581you", "<blank>"), frozenset({0, 5}))
SPELLING = Spelling(TABLE, 0.04)
Token = tuple[int, int, float]


def words_by_spaces(tokens: list[Token]) -> list[Word]:
    """Words by another way: cut the text, with each character's token beside it, at its spaces."""
    characters, latest = [], 0
    for index, (token, frame, _) in enumerate(tokens):
        latest = max(latest, frame)
        if token not in TABLE.hidden_ids:
            pieces = TABLE.pieces[token].replace("\u2581", " ")
            characters += [(character, index, latest) for character in pieces]
    words: list[list[tuple[str, int, int]]] = []
    for character in characters:
        if character[0] == " " or not words:
            words.append([])
        words[-1].append(character)
    found = []
    for word in words:
        text = "".join(character for character, _, _ in word).strip()
        if text:
            indices = sorted({index for _, index, _ in word})
            confidence = math.exp(math.fsum(tokens[index][2] for index in indices) / len(indices))
            found.append(Word(text, word[0][2] * 0.04, word[-1][2] * 0.04 + 0.04, confidence))
    return found


def emissions(tokens: list[Token]) -> Emissions:
    return Emissions(*(tuple(item[i] for item in tokens) for i in range(3)))  # type: ignore[arg-type]


def made(tokens: list[Token], cuts: list[int]) -> Transcript:
    transcript, begin = Transcript(), 0
    for end in [*sorted(min(cut, len(tokens)) for cut in cuts), len(tokens)]:
        part = tokens[begin:end]
        begin = end
        transcript = transcript.extended(SPELLING, emissions(part))
    return transcript


@given(
    tokens=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50), st.floats(-5.0, 0.0)), max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=10),
)
def test_piece_by_piece(tokens: list[Token], cuts: list[int]) -> None:
    found = made(tokens, cuts)
    assert found == made(tokens, [])
    assert found.token_ids == tuple(token for token, _, _ in tokens)
    assert found.tokens == tuple(TABLE.pieces[token] for token, _, _ in tokens)
    assert found.text == TABLE.text(found.token_ids)
    assert found.log_probs == tuple(log_prob for _, _, log_prob in tokens)
    assert list(found.timestamps) == [0.04 * max(f for _, f, _ in tokens[: i + 1]) for i in range(len(tokens))]
    for word, expected in zip(found.words(SPELLING), words_by_spaces(tokens), strict=True):
        assert (word.word, word.start) == (expected.word, expected.start)
        assert word.end == pytest.approx(expected.end)
        assert word.confidence == pytest.approx(expected.confidence)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([], []),
        ([0, 5], []),
        ([1], ["he"]),
        ([1, 2, 4], ["hello", "you"]),
        ([2, 1], ["llo", "he"]),
        ([3, 2, 4], ["llo", "you"]),
        ([3, 4, 3], ["you"]),
        ([1, 0, 2], ["hello"]),
    ],
    ids=str,
)
def test_words(tokens: list[int], words: list[str]) -> None:
    found = Transcript().extended(SPELLING, emissions([(token, index, -0.5) for index, token in enumerate(tokens)]))
    assert [word.word for word in found.words(SPELLING)] == words
    assert " ".join(words) == found.text.replace("  ", " ").strip()


def test_a_words_times_and_confidence() -> None:
    emitted = Emissions((1, 2, 4), (3, 8, 15), (-0.2, -0.4, -1.0))
    (hello, you) = Transcript().extended(SPELLING, emitted).words(SPELLING)
    assert hello.start == pytest.approx(0.12)
    assert hello.end == pytest.approx(0.36)
    assert hello.confidence == pytest.approx(2.718281828**-0.3)
    assert you.start == pytest.approx(0.6)
    assert you.end == pytest.approx(0.64)


def test_time_does_not_run_backwards() -> None:
    """What was committed may have been aligned later by another hypothesis."""
    committed = Transcript().extended(SPELLING, Emissions((1,), (5,), (-0.3,)))
    whole = committed.extended(SPELLING, Emissions((2, 4), (4, 7), (-0.1, -0.2)))
    assert whole.timestamps == pytest.approx((0.2, 0.2, 0.28))
