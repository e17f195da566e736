"""What every command shares: one-line errors, exit statuses, `--json`, `--version`, logging, progress.

Exit status: 0 done; 1 a check, a tolerance or a budget failed; 2 wrong usage or bad input;
130 interrupted.
"""

import argparse
import contextlib
import importlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tqdm import tqdm

from emf.runtime.errors import EmfError, ToleranceError

Item = TypeVar("Item")
DISTRIBUTION = "emformer-deploy"


@dataclass(frozen=True)
class Outcome:
    """What a command found: the document that `--json` prints, the text for a person, failed or not."""

    document: dict[str, Any]
    text: str
    failed: bool = False


class CommandParser(argparse.ArgumentParser):
    """An argument parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong in one line and exit with status 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def command_parser(name: str, description: str, example: str) -> CommandParser:
    """A parser with the flags that every command has."""
    parser = CommandParser(
        prog=name,
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{name} {distribution_version()}")
    parser.add_argument("--json", action="store_true", help="Print one JSON object and nothing else.")
    parser.add_argument("--verbose", action="store_true", help="Log what is being done.")
    return parser


def distribution_version() -> str:
    """Version of the installed distribution."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0+unknown"


def run_command(
    parser: CommandParser,
    work: Callable[[argparse.Namespace], Outcome],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a command from its arguments to its exit status.

    Args:
        parser: its flags.
        work: does it.
        arguments: the command line without the program's name; `None` takes the process's.
    """
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format=f"{parser.prog}: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    output = sys.stdout
    try:
        with _terminable(), contextlib.redirect_stdout(sys.stderr):
            outcome = work(options)
        as_json = json.dumps(outcome.document, ensure_ascii=False, allow_nan=False) if options.json else ""
        if text := as_json or outcome.text:
            output.write(text + "\n")
            output.flush()
    except KeyboardInterrupt:
        return _fail(parser, "interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ToleranceError as error:
        return _fail(parser, error, 1)
    except (EmfError, OSError, MemoryError) as error:
        return _fail(parser, error, 2)
    return 1 if outcome.failed else 0


def launch(module: str, extra: str, arguments: Sequence[str] | None = None) -> int:
    """Run the `main` of a module whose packages an extra brings; without them, name the extra in one line."""
    try:
        status: int = importlib.import_module(module).main(arguments)
    except ModuleNotFoundError as error:
        if not error.name or error.name.split(".")[0] == "emf":
            raise
        program = Path(sys.argv[0]).name
        sys.stderr.write(f"{program}: needs the package {error.name}; run: pip install '{DISTRIBUTION}[{extra}]'\n")
        return 2
    return status


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, so that nothing half-done stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _fail(parser: CommandParser, error: object, status: int) -> int:
    message = " ".join(str(error).split()) or type(error).__name__
    sys.stderr.write(f"{parser.prog}: {message}\n")
    return status


def progress(items: Iterable[Item], total: int | None, description: str, unit: str = "it") -> Iterable[Item]:
    """A progress bar on standard error, if that is a terminal."""
    bar: Iterable[Item] = tqdm(items, total=total, desc=description, unit=unit, disable=None, leave=False)
    return bar


def one_of(options: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Argument type: a comma-separated list of `options`."""

    def parse(text: str) -> tuple[str, ...]:
        chosen = tuple(part.strip() for part in text.split(",") if part.strip())
        unknown = [part for part in chosen if part not in options]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(f"expected some of {','.join(options)}, found {text!r}")
        return tuple(dict.fromkeys(chosen))

    return parse


def bounded(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], Any]:
    """Argument type: a number within [low, high]."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a number from {low} to {high}, found {text!r}")
        return value

    return parse
