"""N-gram models in ARPA form, as SRILM, KenLM and others write them. The file is not trusted.

Source of the form: the `ngram-format` manual page of SRILM.
"""

import re
from array import array
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np

from emf.runtime.errors import UsageError, require
from emf.runtime.guidance.ngrams import Ngrams, Rows

MAX_BYTES = 8 * 2**30
MAX_LINE_BYTES = 2**16
MAX_ORDER = 8
MAX_NGRAMS = 2**28
MAX_LOG10 = 1_000.0
_COUNT = re.compile(rb"ngram\s+([1-9])\s*=\s*([0-9]{1,12})")


def read_arpa(path: str | Path) -> Ngrams:
    """Read an ARPA file.

    Args:
        path: plain text in UTF-8, not compressed.

    Raises:
        UsageError: there is no such file, it is too large, or it is not of the form.
    """
    require(path, (str, PathLike), "the path of a language model in ARPA form")
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: expected a language model in ARPA form, but there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path}: {path.stat().st_size} bytes are too many for a language model; prune it")
    with path.open("rb") as stream:
        lines = _Lines(stream, path)
        lines.expect(b"\\data\\")
        counts = _read_counts(lines)
        ids: dict[bytes, int] = {}
        orders = []
        for order, count in enumerate(counts, start=1):
            lines.expect(b"\\%d-grams:" % order)
            orders.append(_read_section(lines, order, count, ids, highest=order == len(counts)))
        lines.expect(b"\\end\\")
        if lines.current:
            raise lines.error("nothing after \\end\\")
    try:
        return Ngrams([word.decode() for word in ids], orders)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected words in UTF-8 ({error}); convert the file") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}; make the model again") from error


class _Lines:
    """The lines of a file that are not blank, one at a time.

    Attributes:
        current: the line to read next, without white space around it; empty at the end of the file.
        number: its number, from 1.
    """

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self.current, self.number = b"", 0
        self.advance()

    def advance(self) -> None:
        """Go to the next line."""
        while True:
            line = self._stream.readline(MAX_LINE_BYTES)
            self.number += 1
            self.current = line.strip()
            if len(line) == MAX_LINE_BYTES:
                raise self.error(f"a line shorter than {MAX_LINE_BYTES} bytes")
            if self.current or not line:
                return

    def expect(self, wanted: bytes) -> None:
        """Step over a line that must be this one."""
        if self.current != wanted:
            raise self.error(wanted.decode())
        self.advance()

    def error(self, expected: str) -> UsageError:
        """What to raise where something else was expected."""
        found = repr(self.current[:60].decode(errors="replace")) if self.current else "the end of the file"
        where = f"{self._path}, line {self.number}"
        return UsageError(f"{where}: expected {expected}, found {found}; give a complete, uncompressed ARPA file")


def _read_counts(lines: _Lines) -> list[int]:
    counts: list[int] = []
    while not lines.current.startswith(b"\\"):
        match = _COUNT.fullmatch(lines.current)
        if not match or int(match[1]) != len(counts) + 1 or len(counts) == MAX_ORDER:
            raise lines.error(f"'ngram {len(counts) + 1}=' and a count, up to order {MAX_ORDER}")
        if not 0 < int(match[2]) <= MAX_NGRAMS:
            raise lines.error(f"a count from 1 to {MAX_NGRAMS}")
        counts.append(int(match[2]))
        lines.advance()
    if not counts:
        raise lines.error("'ngram 1=' and a count")
    return counts


def _read_section(lines: _Lines, order: int, count: int, ids: dict[bytes, int], highest: bool) -> Rows:
    """The n-grams of one order; unigrams fill `ids`."""
    words, log10, backoff = array("q"), array("f"), array("f")
    allowed = (order + 1,) if highest else (order + 1, order + 2)
    for done in range(count):
        fields = lines.current.split()
        if len(fields) not in allowed:
            form = "a log10 probability, the words" + ("" if highest else ", a back-off weight or none")
            raise lines.error(f"{count} {order}-grams as \\data\\ says, each with {form}; {done} came, then")
        log10.append(_number(lines, fields[0], 0.0))
        backoff.append(_number(lines, fields[-1], MAX_LOG10) if len(fields) == order + 2 else 0.0)
        if order == 1:
            if fields[1] in ids:
                raise lines.error("every word once")
            ids[fields[1]] = len(ids)
        try:
            words.extend([ids[word] for word in fields[1 : order + 1]])
        except KeyError:
            raise lines.error("words that are listed among the 1-grams") from None
        lines.advance()
    return Rows(
        np.frombuffer(words, np.int64).reshape(count, order),
        np.frombuffer(log10, np.float32),
        np.frombuffer(backoff, np.float32),
    )


def _number(lines: _Lines, field: bytes, high: float) -> float:
    try:
        value = float(field)
    except ValueError:
        value = float("nan")
    if not -MAX_LOG10 <= value <= high:
        raise lines.error(f"numbers from {-MAX_LOG10:.0f} to {high:.0f} around the words")
    return value
