"""The tokens file and the way from ids to text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import ArtifactError
from emf.runtime.artifact.tokens import TokenTable, read_tokens, write_tokens

PIECES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=8)


@given(pieces=st.lists(PIECES, max_size=20))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    path = tmp_path_factory.mktemp("tokens") / "tokens.txt"
    write_tokens(path, pieces)
    assert read_tokens(path) == tuple(pieces)


def test_order_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    path.write_bytes("b c 1\r\n\r\n\u2581a 0\r\n".encode())
    assert read_tokens(path) == ("\u2581a", "b c")


@pytest.mark.parametrize(
    "content",
    [
        b"a 0\nb 0\n",
        b"a 0\nb 2\n",
        b"a 1\n",
        b"a\n",
        b" 0\n",
        b"a -1\n",
        b"a 0x1\n",
        b"a 1.0\n",
        "a \u0661\n".encode(),
        b"a " + b"9" * 5000 + b"\n",
        b"\xff\xfe 0\n",
        b"a\t0\n",
    ],
    ids=lambda content: repr(content)[:24],
)
def test_malformed_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens.txt"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"tokens\.txt.*expected") as caught:
        read_tokens(path)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="expected a tokens file"):
        read_tokens(tmp_path / "tokens.txt")


TABLE = TokenTable(("<unk>", "\u2581he", "l", "lo", "\u2581\u2581", "<blank>"), frozenset({0, 5}))


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ([], ""),
        ([1, 2, 3], "hello"),
        ([1, 1], "he he"),
        ([2, 1], "l he"),
        ([0, 1, 5, 3], "helo"),
        ([0], ""),
        ([4, 1], "he"),
        ([1, 4, 1], "he   he"),
    ],
    ids=str,
)
def test_text(tokens: list[int], text: str) -> None:
    assert TABLE.text(tokens) == text


@given(tokens=st.lists(st.integers(0, 5)), more=st.lists(st.integers(0, 5)))
def test_the_text_of_a_prefix_is_a_prefix_of_the_text(tokens: list[int], more: list[int]) -> None:
    assert TABLE.text([*tokens, *more]).startswith(TABLE.text(tokens))
