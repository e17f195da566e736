"""ARPA files: what is read, and the right one-line error for every damage."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import UsageError
from emf.runtime.guidance.arpa import MAX_LINE_BYTES, read_arpa
from tests.runtime.guidance.arpa_text import SMALL, to_arpa

TEXT = to_arpa(SMALL)


def error(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as caught:
        read_arpa(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message and len(message) < len(str(path)) + 300
    return message


def test_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.arpa").write_text(TEXT, encoding="utf-8")
    ngrams = read_arpa(tmp_path / "model.arpa")
    assert ngrams.words == tuple(ngram[0] for ngram in SMALL if len(ngram) == 1)
    assert [len(level.keys) for level in ngrams.levels] == [6, 3, 2]
    assert ngrams.order == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "\\date\\", r"line 1: expected \data\, found '\\date\\'"),
        ("\\data\\", "iARPA", "line 1: expected"),
        ("ngram 1=6", "ngram 1=x", "line 2: expected 'ngram 1='"),
        ("ngram 2=3", "ngram 3=3", "line 3: expected 'ngram 2='"),
        ("ngram 1=6\nngram 2=3\nngram 3=2", "", "expected 'ngram 1='"),
        ("ngram 2=3", "ngram 2=0", "expected a count from 1"),
        ("ngram 2=3", "ngram 2=999999999999", "expected a count from 1"),
        ("ngram 1=6", "ngram 1=7", "expected 7 1-grams"),
        ("ngram 1=6", "ngram 1=5", "expected \\2-grams:, found '-1.5\\tb"),
        ("\\2-grams:", "\\3-grams:", "expected \\2-grams:"),
        ("-0.5\tab", "0.5\tab", "expected numbers from -1000 to 0"),
        ("-0.5\tab", "nan\tab", "expected numbers"),
        ("-0.5\tab", "-inf\tab", "expected numbers"),
        ("-0.5\tab", "x\tab", "expected numbers"),
        ("ab\t-0.25", "ab\t1e9", "expected numbers from -1000 to 1000"),
        ("ab\t-0.25", "ab\t-0.25\t1", "expected 6 1-grams as \\data\\ says"),
        ("-0.5\tab", "-0.5\ta", "expected every word once"),
        ("-0.0625\tab a", "-0.0625\tab cd", "expected words that are listed among the 1-grams"),
        ("-0.0625\tab a", "-0.0625\t<s> b", "'<s> b' is listed twice"),
        ("<s> b ab", "b b ab", "'b b ab' is listed, but its beginning 'b b' is not"),
        ("-1.75\tab a a", "-1.75\tab a a\t-1", "expected 2 3-grams"),
        ("\\end\\", "", "found the end of the file"),
        ("\\end\\", "\\end\\\nmore", "expected nothing after \\end\\"),
        ("-0.5\tab", "-0.5\t" + "a" * MAX_LINE_BYTES, "expected a line shorter than"),
    ],
)
def test_damage(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    assert message in error(tmp_path / "model.arpa", TEXT.replace(old, new, 1))


def test_files_that_are_no_models(tmp_path: Path) -> None:
    assert "found the end of the file" in error(tmp_path / "model.arpa", "")
    assert "uncompressed" in error(tmp_path / "model.arpa", b"\x1f\x8b\x08\x00" + bytes(50))
    assert "in UTF-8" in error(tmp_path / "model.arpa", TEXT.replace("ab", "\u00e4b").encode("latin-1"))
    with pytest.raises(UsageError, match="no such file"):
        read_arpa(tmp_path / "nowhere.arpa")
    with pytest.raises(UsageError, match="no such file"):
        read_arpa(tmp_path)


@given(cut=st.integers(0, len(TEXT.rstrip()) - 1))
def test_a_part_of_a_model_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    assert "expected" in error(tmp_path_factory.getbasetemp() / "part.arpa", TEXT[:cut])


@given(position=st.integers(0, len(TEXT) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_gives_a_model_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.arpa"
    content = bytearray(TEXT.encode())
    content[position] = byte
    path.write_bytes(bytes(content))
    try:
        assert read_arpa(path).order == 3
    except UsageError as refusal:
        assert "\n" not in str(refusal)


def test_a_hundred_thousand_bigrams_are_read_in_seconds(tmp_path: Path) -> None:
    words = [f"w{index}" for index in range(10_000)]
    pairs = np.random.default_rng(0).choice(len(words) ** 2, 100_000, replace=False).tolist()
    lines = ["\\data\\", f"ngram 1={len(words)}", f"ngram 2={len(pairs)}", "\\1-grams:"]
    lines += [f"-4\t{word}\t-0.5" for word in words]
    lines += ["\\2-grams:", *(f"-1.25\tw{pair // 10_000} w{pair % 10_000}" for pair in pairs), "\\end\\"]
    (tmp_path / "large.arpa").write_text("\n".join(lines), encoding="utf-8")
    begin = time.process_time()
    ngrams = read_arpa(tmp_path / "large.arpa")
    assert time.process_time() - begin < 5.0
    first, second = divmod(pairs[77], 10_000)
    assert ngrams.log10_prob([first], second) == -1.25
    assert sum(level.keys.nbytes + level.log10.nbytes + level.backoff.nbytes for level in ngrams.levels) < 2_000_000
