"""What every command shares: one-line errors, exit statuses, `--json`, `--version`, logging.

Exit status: see `Status`.
"""

import argparse
import contextlib
import logging
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from emf.runtime.commands.completion import PrintCompletion
from emf.runtime.commands.signals import Interruption, answered
from emf.runtime.commands.terminal import (
    MessageHandler,
    Output,
    ReaderLeft,
    flush_output,
    one_line,
    open_standard_streams,
    tell,
)
from emf.runtime.errors import EmfError, ToleranceError

DISTRIBUTION = "emformer-deploy"


class Status(IntEnum):
    """How a command ended, as its exit status."""

    DONE = 0
    FAILED = 1
    """A check, a tolerance or a budget failed, or some recordings of several."""
    BAD_INPUT = 2
    """Wrong usage, or nothing that could be used."""
    INTERRUPTED = 130


_EVERY_COMMAND = "flags of every command"
_EXIT_STATUS = """exit status:
  0 done, 1 a check failed or some recordings of several did, 2 wrong usage or nothing that could be used,
  130 interrupted"""


@dataclass(frozen=True)
class Outcome:
    """What a command found: the document that `--json` prints, the text for a person, failed or not."""

    document: dict[str, Any]
    text: str
    failed: bool = False


class CommandParser(argparse.ArgumentParser):
    """An argument parser whose errors take one line, and whose help begins with what must be given."""

    def format_help(self) -> str:
        """The help: a short usage, then the flags by groups, those of every command last."""
        self.usage = " ".join([self.prog, *map(_usage, filter(_must_be_given, self._actions)), "[flags]"])
        self._action_groups.sort(key=lambda group: group.title == _EVERY_COMMAND)
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong in one line and exit with status 2."""
        tell(f"{self.prog}: {one_line(message)}; see {self.prog} --help")
        self.exit(Status.BAD_INPUT)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exit once what was printed is written."""
        flush_output()
        super().exit(status, message)


def command_parser(name: str, description: str, example: str) -> CommandParser:
    """A parser with the flags that every command has."""
    parser = CommandParser(
        prog=name,
        description=description,
        epilog=f"example:\n  {example}\n\n{_EXIT_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    general = parser.add_argument_group(_EVERY_COMMAND)
    general.add_argument("-h", "--help", action="help", help="Show this help and exit.")
    version = f"{name} {distribution_version()}"
    general.add_argument("--version", action="version", version=version, help="Show the version and exit.")
    general.add_argument("--json", action="store_true", help="Print one JSON object and nothing else.")
    general.add_argument("--verbose", action="store_true", help="Log what is being done.")
    general.add_argument("--print-completion", action=PrintCompletion)
    return parser


def _must_be_given(action: argparse.Action) -> bool:
    return action.required


def _usage(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    value = f"{name} [{name} ...]" if action.nargs == "+" else name
    if not action.option_strings:
        return value
    return f"{action.option_strings[0]} {value if action.metavar else value.upper()}"


def distribution_version() -> str:
    """Version of the installed distribution."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0+unknown"


def command_text(parser: CommandParser, arguments: Sequence[str] | None) -> str:
    """The command as it was given, for a shell; `arguments` as for `run_command`."""
    return shlex.join([parser.prog, *(sys.argv[1:] if arguments is None else arguments)])


def run_command(
    parser: CommandParser,
    work: Callable[[argparse.Namespace], Outcome],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a command that prints what it found when it is done.

    Args:
        parser: its flags.
        work: does it.
        arguments: the command line without the program's name; `None` takes the process's.

    Returns:
        The exit status.
    """

    def work_and_print(options: argparse.Namespace, output: Output) -> Status:
        outcome = work(options)
        if options.json:
            output.document(outcome.document)
        else:
            output.text(outcome.text)
        return Status.FAILED if outcome.failed else Status.DONE

    return run_printing(parser, work_and_print, arguments)


def run_printing(
    parser: CommandParser,
    work: Callable[[argparse.Namespace, Output], Status],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a command that prints while it works; see `run_command`."""
    open_standard_streams()
    output, interruption = Output(sys.stdout), Interruption()
    try:
        options = parser.parse_args(arguments)
        _log_to_standard_error(parser.prog, logging.INFO if options.verbose else logging.WARNING)
        with (
            answered(interruption.answer, signal.SIGINT, signal.SIGTERM),
            contextlib.redirect_stdout(sys.stderr),
        ):
            return work(options, output)
    except ReaderLeft:
        return Status.DONE
    except (KeyboardInterrupt, Exception) as error:
        if interruption.received or isinstance(error, KeyboardInterrupt):
            return _fail(parser, "interrupted", Status.INTERRUPTED)
        return _explain(parser, error)


def _explain(parser: CommandParser, error: Exception) -> Status:
    """Tell an error in one line; one that nobody expected is raised again."""
    match error:
        case ToleranceError():
            return _fail(parser, error, Status.FAILED)
        case UnicodeEncodeError(object=text, start=start, end=end):
            found = text[max(start - 20, 0) : end + 20]
            return _fail(parser, f"expected names in UTF-8, found …{found}…; rename the file", Status.BAD_INPUT)
        case UnicodeError():
            return _fail(parser, f"expected text in UTF-8 ({error}); convert the file", Status.BAD_INPUT)
        case EmfError() | OSError() | MemoryError():
            return _fail(parser, error, Status.BAD_INPUT)
    raise error


def _log_to_standard_error(name: str, level: int) -> None:
    logging.basicConfig(level=level, format=f"{name}: %(message)s", handlers=[MessageHandler()], force=True)


def _fail(parser: CommandParser, error: object, status: Status) -> Status:
    tell(f"{parser.prog}: {one_line(error)}")
    return status


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
