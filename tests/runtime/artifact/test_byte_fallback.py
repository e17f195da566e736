"""Vocabularies with byte fallback: text equals SentencePiece's, in transcripts, phrases and language models."""

import io
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import LanguageModel, UsageError
from emf.runtime.artifact.byte_fallback import read_spelling, spell_piece
from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.guidance.biasing import Biasing
from emf.runtime.guidance.fusion import Fusion
from emf.runtime.recognition.transcript import Spelling, Transcript
from emf.runtime.search.emissions import Emissions
from tests.runtime.guidance.arpa_text import to_arpa

CORPUS = ["the cat sat on the mat", "a dog ran to the cafe", "we saw them there"] * 20
BYTES = tuple(f"<0x{value:02X}>" for value in range(256))
TABLE = TokenTable(("<unk>", *BYTES, "\u2581", "\u2581caf", "c", "a", "f", "e"), frozenset({0}))


def ids(table: TokenTable, *pieces: str) -> list[int]:
    return [table.pieces.index(piece) for piece in pieces]


@pytest.fixture(scope="module")
def processor() -> sentencepiece.SentencePieceProcessor:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        vocab_size=300,
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


@pytest.mark.parametrize("text", ["the caf\u00e9", "\u4f60\u597d cat", "na\u00efve \U0001f600", "z\u0142oty", "cat"])
def test_text_is_sentencepieces(processor: sentencepiece.SentencePieceProcessor, text: str) -> None:
    hidden = frozenset(i for i in range(len(processor)) if processor.IsControl(i) or processor.IsUnknown(i))
    table = TokenTable(tuple(processor.IdToPiece(i) for i in range(len(processor))), hidden)
    tokens = processor.encode(text)
    assert table.text(tokens) == processor.decode(tokens) == text
    assert any(processor.IsByte(token) for token in tokens) is not text.isascii()


@given(text=st.text(max_size=12), cut=st.integers(0, 60))
def test_what_a_beginning_reads_stays(text: str, cut: int) -> None:
    """So partial and stable text never show half a character, and only grow."""
    try:
        spelled = "".join(spell_piece(f"<0x{value:02X}>") for value in text.encode())
    except UnicodeEncodeError:
        return
    assert read_spelling(spelled) == text
    assert text.startswith(read_spelling(spelled[:cut]))


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert TABLE.text(ids(TABLE, "c", "<0xFF>", "a")) == "c\ufffda"


def test_a_transcript_waits_for_the_whole_character() -> None:
    spelling = Spelling(TABLE, 0.04)
    tokens = ids(TABLE, "\u2581caf", "<0xC3>", "<0xA9>")
    half = Transcript().extended(spelling, Emissions(tuple(tokens[:2]), (0, 1), (0.0, 0.0)))
    assert (half.text, half.words(spelling)[0].word) == ("caf", "caf")
    whole = half.extended(spelling, Emissions(tuple(tokens[2:]), (2,), (0.0,)))
    assert (whole.text, whole.words(spelling)[0].word) == ("caf\u00e9", "caf\u00e9")
    assert whole.tokens == ("\u2581caf", "<0xC3>", "<0xA9>"), "as the vocabulary has them"


@pytest.mark.parametrize("phrase", ["caf\u00e9", "CAF\u00e9"])
def test_phrases_are_matched_byte_by_byte(phrase: str) -> None:
    biasing = Biasing({phrase: 6.0}, TABLE)
    node, score = biasing.root, 0.0
    for token in ids(TABLE, "\u2581caf", "<0xC3>", "<0xA9>"):
        node, gain = biasing.advance(node, token)
        score += gain
    assert score == pytest.approx(6.0)


def test_a_phrase_needs_all_its_bytes() -> None:
    table = TokenTable(("\u2581", "c", "<0xC3>"), frozenset())
    with pytest.raises(UsageError, match=r"cannot be written .* \['\u00e9'\]"):
        Biasing({"c\u00e9": 6.0}, table)


def test_words_of_a_language_model_are_read_from_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(to_arpa({("<unk>",): (-3.0, 0.0), ("caf\u00e9",): (-0.5, 0.0)}), encoding="utf-8")
    fusion = Fusion(LanguageModel.read(path, weight=1.0), TABLE)
    place = fusion.root
    for token in ids(TABLE, "\u2581caf", "<0xC3>", "<0xA9>"):
        place = fusion.advance(place, token)
    assert place.ending == pytest.approx(np.log(10.0) * -0.5, rel=1e-6)
