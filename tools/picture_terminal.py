"""Run commands in a terminal and draw what it shows, as SVG: moving, or with --still its end.

Example:
    python tools/picture_terminal.py docs/serve/live.svg --serve artifacts/demo \\
        --command 'emf-stream {url} export/demo/recordings/date.flac'
    python tools/picture_terminal.py docs/terminal.svg --still \\
        --command 'emf-transcribe artifacts/demo export/demo/recordings/date.flac --format srt'

Commands run one after the other and must succeed. `{url}` stands for the server that --serve starts; the picture shows
the address of its default port.
"""

import argparse
import fcntl
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from serving_process import serving_process
from terminal_screen import Screen
from terminal_svg import Frame, moving, still

_COLUMNS, _ROWS = 88, 24
_BEFORE, _AFTER = 0.8, 2.5
"""Seconds that a command is shown before it begins, and its end before what follows."""
_SHOWN_URL = "ws://127.0.0.1:8000"
_SHELL = "$ "


def chunks(command: Sequence[str], columns: int, rows: int) -> Iterator[tuple[float, bytes]]:
    """Run a command in a terminal of this size: what it writes, and when, seconds from its beginning.

    Raises:
        SystemExit: it fails.
    """
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "TERM": "xterm", "COLUMNS": str(columns), "LINES": str(rows)}
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment, close_fds=True)
    os.close(other)
    try:
        while found := _read(main):
            yield time.monotonic() - begin, found
    finally:
        os.close(main)
        status = process.wait()
    if status:
        raise SystemExit(f"expected status 0 of {shlex.join(command)}, found {status}")


def _read(terminal: int) -> bytes:
    """What comes next; nothing once the command has ended."""
    try:
        return os.read(terminal, 65_536)
    except OSError:  # so Linux says that nobody holds the other end any more
        return b""


def film(commands: Sequence[str], url: str, columns: int, rows: int) -> tuple[list[Frame], float]:
    """The frames of some commands, and when the last one ends; the time in which a command starts is left out."""
    screen, frames, now = Screen(columns, rows), [], 0.0
    for command in commands:
        screen.write(f"{_SHELL}\x1b[1m{command.replace('{url}', _SHOWN_URL)}\x1b[0m\r\n")
        frames.append(Frame(now, screen.lines()))
        first = None
        rest = b""
        for at, written in chunks(shlex.split(command.replace("{url}", url)), columns, rows):
            first = at if first is None else first
            whole, rest = _whole(rest + written)
            screen.write(whole)
            frames.append(Frame(now + _BEFORE + at - first, screen.lines()))
        now = frames[-1].time + _AFTER
    return frames, now


def _whole(written: bytes) -> tuple[str, bytes]:
    """Text without a control sequence or a letter that is not there yet, and the rest."""
    cut = written.rfind(b"\x1b")
    if cut < 0 or any(letter in written[cut:] for letter in b"KmA"):
        cut = len(written)
    while cut:
        try:
            return written[:cut].decode(), written[cut:]
        except UnicodeDecodeError:
            cut -= 1
    return "", written


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--command", action="append", required=True)
    parser.add_argument("--serve", type=Path, help="artifact of a server for {url}")
    parser.add_argument("--still", action="store_true")
    parser.add_argument("--columns", type=int, default=_COLUMNS)
    parser.add_argument("--rows", type=int, default=_ROWS)
    options = parser.parse_args()
    with serving_process(options.serve, ("--workers", "0")) if options.serve else nullcontext() as server:
        url = server.url.replace("http", "ws", 1) if server else ""
        frames, end = film(options.command, url, options.columns, options.rows)
    if options.still:
        options.out.write_text(still(frames[-1].lines, options.columns), encoding="utf-8")
    else:
        options.out.write_text(moving(frames, end, options.columns), encoding="utf-8")


if __name__ == "__main__":
    main()
