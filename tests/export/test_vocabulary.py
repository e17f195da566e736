"""Vocabularies: SentencePiece models and tokens files."""

import io
from pathlib import Path

import pytest
import sentencepiece

from emf.export.torchaudio_loader import load_torchaudio
from emf.export.vocabulary import numbered_pieces, read_pieces
from emf.runtime.artifact.tokens import TokenTable, read_tokens, write_tokens
from emf.runtime.errors import CheckpointError, EmfError

TEXT = ["one two three four", "the rain in spain", "a quick brown fox jumps", "it's 42 o'clock"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model of 40 pieces."""
    path = tmp_path_factory.mktemp("pieces") / "tokens.model"
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT * 10), model_writer=content, vocab_size=40, model_type="bpe", minloglevel=2
    )
    path.write_bytes(content.getvalue())
    return path


def test_sentencepiece_model(model: Path) -> None:
    pieces = read_pieces(model, 41)
    assert pieces.pieces[0] == "<unk>"
    assert pieces.pieces[-1] == "<blank>"
    assert len(pieces.pieces) == 41
    assert pieces.hidden_ids == (0, 2, 40)


@pytest.mark.parametrize("text", TEXT)
def test_text_equals_torchaudios(model: Path, text: str) -> None:
    processor = load_torchaudio().pipelines.rnnt_pipeline._SentencePieceTokenProcessor(str(model))
    pieces = read_pieces(model, 41)
    table = TokenTable(pieces.pieces, frozenset(pieces.hidden_ids))
    ids = sentencepiece.SentencePieceProcessor(model_file=str(model)).encode(text)
    for tokens in (ids, [0, *ids, 2], ids[1:], [1, *ids], []):
        assert table.text(tokens) == processor([40, *tokens])


def test_pieces_survive_the_artifact(model: Path, tmp_path: Path) -> None:
    pieces = read_pieces(model, 41).pieces
    write_tokens(tmp_path / "tokens.txt", pieces)
    assert read_tokens(tmp_path / "tokens.txt") == pieces


@pytest.mark.parametrize("with_blank", [False, True])
def test_tokens_file_with_and_without_the_blank(tmp_path: Path, with_blank: bool) -> None:
    path = tmp_path / "tokens.txt"
    write_tokens(path, ["<unk>", "a", "b", *(["<blank>"] if with_blank else [])])
    pieces = read_pieces(path, 4)
    assert pieces.pieces == ("<unk>", "a", "b", "<blank>")
    assert pieces.hidden_ids == (0, 3)


@pytest.mark.parametrize("num_symbols", [2, 3, 6, 100])
def test_another_size_than_the_models(tmp_path: Path, num_symbols: int) -> None:
    path = tmp_path / "tokens.txt"
    write_tokens(path, ["<unk>", "a", "b", "c"])
    with pytest.raises(CheckpointError, match=f"expected {num_symbols - 1} pieces.*found 4"):
        read_pieces(path, num_symbols)


@pytest.mark.parametrize("name", ["tokens.txt", "tokens.model"])
@pytest.mark.parametrize("content", [b"", b"garbage", bytes(50), b"\xff" * 50], ids=["empty", "text", "zeros", "ones"])
def test_files_that_are_no_vocabulary(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EmfError, match=r"tokens\.") as caught:
        read_pieces(path, 41)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_pieces(tmp_path / "tokens.model", 41)


def test_numbered_pieces() -> None:
    pieces = numbered_pieces(3)
    assert pieces.pieces == ("\u25810", "\u25811", "<blank>")
    assert pieces.hidden_ids == (2,)
