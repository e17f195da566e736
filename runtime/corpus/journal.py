"""The file of rows, one JSON object a line: appended to, repaired after a crash, taken up again.

Every line stands for a recording. A line is written at once and whole, so that a process that is killed leaves at most
one torn line, the last; it is cut off when the file is next opened, and its recording done again. What the rows come
from stands in a second file beside them, and shortened in each row.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emf.runtime.artifact.files import write_whole
from emf.runtime.corpus.file_lock import lock
from emf.runtime.corpus.source import Source
from emf.runtime.corpus.tally import Tally
from emf.runtime.errors import UsageError

SOURCE_SUFFIX = ".source.json"


class Journal:
    """Rows that are there, and how to add some. Open it with `Journal.open`, and close it.

    Attributes:
        done: how many rows each path has.
        tally: of all rows.
    """

    def __init__(self, path: Path, descriptor: int, source: Source) -> None:
        """Take a file that is open and locked."""
        self._path, self._descriptor, self._source = path, descriptor, source
        self.done: Counter[str] = Counter()
        self.tally = Tally()

    @classmethod
    def open(cls, path: Path, source: Source, retry_failed: bool = False) -> Self:
        """Open a file of rows, or begin one.

        Args:
            path: of the file.
            source: what its rows come from.
            retry_failed: whether to drop the rows of recordings that failed, so that they are done again.

        Raises:
            UsageError: it is no file of rows, its rows come from something else, or another process writes to it.
            OSError: it cannot be written.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            lock(descriptor, path)
            _check_source(path, source, os.fstat(descriptor).st_size > 0)
            journal = cls(path, descriptor, source)
            journal._read_back()
            if retry_failed and journal.tally.failed:
                journal._drop_failed()
        except BaseException:
            os.close(descriptor)
            raise
        return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let what was written reach the disk, and let go of the file."""
        try:
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows; each has a `path`."""
        stated = [{**row, "source": self._source.id} for row in rows]
        content = b"".join(map(_spell, stated))
        while content:  # a disk that is full takes a part
            content = content[os.write(self._descriptor, content) :]
        for row in stated:
            self._count(row)

    def _count(self, row: Mapping[str, Any]) -> None:
        self.done[row["path"]] += 1
        self.tally.add(row)

    def _lines(self) -> Iterator[bytes]:
        with open(self._descriptor, "rb", closefd=False) as lines:
            lines.seek(0)
            yield from lines

    def _read_back(self) -> None:
        whole = 0
        for number, line in enumerate(self._lines(), start=1):
            if not line.endswith(b"\n"):
                break
            self._take(line, f"{self._path}, line {number}")
            whole += len(line)
        if whole < os.fstat(self._descriptor).st_size:
            os.ftruncate(self._descriptor, whole)

    def _take(self, line: bytes, where: str) -> None:
        try:
            row = json.loads(line)
            source = row["source"]
            if source == self._source.id:
                self._count(row)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UsageError(f"{where}: expected a row that emf-transcribe wrote; name another --out") from None
        if source != self._source.id:
            raise UsageError(
                f"{where}: expected a row of the source {self._source.id}, found one of {source!r:.40}: another model "
                "or other options; name another --out"
            )

    def _drop_failed(self) -> None:
        """Put a file without the rows of recordings that failed in the place of this one."""
        beside = self._path.with_name(f"{self._path.name}.kept")
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
        kept = Journal(self._path, descriptor, self._source)
        try:
            lock(descriptor, self._path)
            for line in self._lines():
                row = json.loads(line)
                if "error" not in row:
                    kept.append([row])
            os.fsync(descriptor)
            beside.replace(self._path)
        except BaseException:
            os.close(descriptor)
            raise
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)
        self.done, self.tally = kept.done, kept.tally


def _spell(row: Mapping[str, Any]) -> bytes:
    try:
        return f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n".encode()
    except UnicodeEncodeError:  # a name that is not UTF-8
        return f"{json.dumps(row, allow_nan=False)}\n".encode()


def _check_source(path: Path, source: Source, has_rows: bool) -> None:
    """Compare what stands beside the rows with their source, or write it for the first time."""
    beside = path.with_name(path.name + SOURCE_SUFFIX)
    try:
        stated = json.loads(beside.read_text(encoding="utf-8"))
        known = {name: stated[name] for name in source.as_document()}
    except FileNotFoundError:
        known = None
    except (ValueError, TypeError, KeyError):
        raise UsageError(f"{beside}: expected what the rows come from; name another --out") from None
    if known is None or not has_rows:
        write_whole(beside, json.dumps(source.as_document(), indent=1) + "\n")
        return
    others = [name for name in source.stated if known[name] != source.stated[name]]
    if others:
        differences = ", ".join(f"{name} {known[name]!r:.40} and not {source.stated[name]!r:.40}" for name in others)
        raise UsageError(
            f"{path}: expected rows of the same model and options, found {differences}; name another --out"
        )
