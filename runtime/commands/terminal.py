"""The standard streams of a command: closed, full, ASCII only or a terminal, none of them ends in a traceback."""

import contextlib
import io
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any, TextIO

from tqdm import tqdm

from emf.runtime.errors import UsageError
from emf.runtime.measure.document import to_json

_USUAL_COLUMNS = 80
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class ReaderLeft(Exception):
    """Whoever read standard output reads no more."""


def printable(text: str) -> str:
    """Text with escapes for what a terminal obeys, control characters, and for bytes that are not UTF-8."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def one_line(error: object) -> str:
    """An error's message in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def open_standard_streams() -> None:
    """Open the standard streams that the caller closed, and let no character fail.

    Files opened later would otherwise get their numbers, and what is written to a stream. A closed standard input
    stays `None` in `sys.stdin`.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Its own lock would be made with the first message, from modules in which an interrupt turns into another error.
    tqdm.set_lock(threading.RLock())


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 (a standard stream stays open)


def _abandon(stream: TextIO) -> None:
    """Throw away what a stream cannot write, also when the process ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def tell(line: str) -> None:
    """Write a line to standard error."""
    show(f"{printable(line)}\n")


def show(text: str) -> None:
    """Write text to standard error as it is. Where that fails, go on: the result matters more."""
    try:
        with tqdm.external_write_mode(file=sys.stderr):
            sys.stderr.write(text)
            sys.stderr.flush()
    except OSError:
        _abandon(sys.stderr)


def show_growing(stable: str, unstable: str, is_final: bool = False) -> None:
    """Show live text on a terminal, in place of what was shown before; what may still change is dimmed.

    Text that is longer than a row loses its begin until it is final: a terminal clears no more than one row.
    """
    stable, unstable = printable(stable), printable(unstable)
    room = _columns() - 1
    surplus = len(stable) + len(unstable) - room
    if surplus > 0 and not is_final:
        cut = surplus + 1
        stable, unstable = "…" + stable[cut:], unstable[max(cut - len(stable), 0) :]
    end = "\n" if is_final else ""
    show(f"\r\033[K{stable}\033[2m{unstable}\033[0m{end}")


def _columns() -> int:
    """Width of the terminal behind standard error."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_COLUMNS
    except (OSError, ValueError):
        return _USUAL_COLUMNS


def flush_output() -> None:
    """Write out what argparse printed; a reader that has left, or a full disk, is no traceback."""
    try:
        sys.stdout.flush()
    except OSError:
        _abandon(sys.stdout)


class MessageHandler(logging.Handler):
    """Writes the log to standard error with `tell`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        try:
            tell(self.format(record))
        except Exception:
            self.handleError(record)


class Output:
    """Standard output as it was when the command began. What is written appears at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def is_terminal(self) -> bool:
        """Whether a person sees what is written."""
        return self._stream.isatty()

    def text(self, text: str) -> None:
        """Write lines for a person, if there are any.

        Raises:
            ReaderLeft: nobody reads them.
        """
        if text:
            self._write(printable(text))

    def document(self, document: Mapping[str, Any]) -> None:
        """Write a JSON object on a line; in ASCII where the stream cannot write all of its characters.

        Raises:
            ReaderLeft: nobody reads it.
        """
        rounded = to_json(document)
        text = json.dumps(rounded, ensure_ascii=False, allow_nan=False)
        try:
            text.encode(self._stream.encoding or "utf-8")
        except UnicodeEncodeError:
            text = json.dumps(rounded, ensure_ascii=True, allow_nan=False)
        self._write(text)

    def _write(self, text: str) -> None:
        try:
            with tqdm.external_write_mode(file=sys.stderr):
                self._stream.write(f"{text}\n")
                self._stream.flush()
        except BrokenPipeError as error:
            _abandon(self._stream)
            raise ReaderLeft from error
        except OSError as error:
            _abandon(self._stream)
            raise UsageError(f"cannot write to standard output ({error.strerror}); send it elsewhere") from error
