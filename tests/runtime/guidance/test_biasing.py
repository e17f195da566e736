"""Biasing: what a phrase earns, what it gives back, and that decoding follows it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import Recognizer, UsageError
from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.guidance.biasing import Biasing
from tests.signals import speech_like

PIECES = ("\u2581", "a", "b", "c", "\u2581a", "\u2581b", "ab", "\u2581abc", "\u2581c", "<unk>")
TABLE = TokenTable(PIECES, frozenset({9}))
PHRASES = {"abc": 6.0, "b": 2.0, "abc ab": 12.0}


def total(biasing: Biasing, tokens: list[int]) -> float:
    node, score = biasing.root, 0.0
    for token in tokens:
        node, gain = biasing.advance(node, token)
        score += gain
    return score


def expected(text: str) -> float:
    """Independent count over the finished words: the longest phrase at each word, and the prefix still open."""
    spelled = ["\u2581" + word for word in text.split("\u2581")[1:]]
    phrases = {"".join("\u2581" + word for word in phrase.split()): score for phrase, score in PHRASES.items()}
    score, index = 0.0, 0
    while index < len(spelled):
        rest = "".join(spelled[index:])
        open_prefixes = [score * len(rest) / len(p) for p, score in phrases.items() if p.startswith(rest)]
        if open_prefixes:
            return score + max(open_prefixes)
        for end in range(len(spelled), index, -1):
            if "".join(spelled[index:end]) in phrases:
                score += phrases["".join(spelled[index:end])]
                index = end
                break
        else:
            index += 1
    return score


@given(tokens=st.lists(st.integers(0, 8), max_size=8))
def test_the_bonus_of_any_tokens_is_that_of_their_text(tokens: list[int]) -> None:
    if tokens and not PIECES[tokens[0]].startswith("\u2581"):
        tokens = [0, *tokens]
    text = "".join(PIECES[token] for token in tokens)
    assert total(Biasing(PHRASES, TABLE), tokens) == pytest.approx(expected(text), abs=1e-9)


@pytest.mark.parametrize(
    ("tokens", "bonus"),
    [([7], 6.0), ([4, 2, 3], 6.0), ([4, 2], 4.5), ([4, 2, 1], 0.0), ([7, 8], 6.0), ([7, 1], 0.0), ([5, 5], 4.0)],
    ids=["one piece", "three pieces", "open", "broken off", "kept", "no word's end", "twice"],
)
def test_examples(tokens: list[int], bonus: float) -> None:
    assert total(Biasing({"abc": 6.0, "b": 2.0}, TABLE), tokens) == pytest.approx(bonus)


@pytest.mark.parametrize("phrase", ["", "  ", "xyz", "a" * 2000])
def test_phrases_that_cannot_be_matched_are_refused(phrase: str) -> None:
    with pytest.raises(UsageError, match="phrase"):
        Biasing({phrase: 1.0}, TABLE)


@pytest.mark.parametrize("method", ["greedy", "beam", "modified_beam"])
def test_decoding_follows_the_phrases(tiny_artifact: Path, method: str) -> None:
    recognizer = Recognizer.load(tiny_artifact, num_threads=1, decoding_method=method, beam_width=4)
    samples = speech_like(4.0)
    words = recognizer.transcribe(samples, 16_000).text.split()
    wanted = "te26"
    stream = recognizer.create_stream(phrases={wanted: 10.0})
    stream.accept_waveform(16_000, samples)
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        stream = recognizer.restore_stream(stream.snapshot())
    assert recognizer.get_result(stream).text.split().count(wanted) > words.count(wanted)
    assert recognizer.transcribe(samples, 16_000).text.split() == words
