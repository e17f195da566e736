"""What a shell needs to complete a command's flags, their values and files."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emf.runtime.errors import MissingDependency

SHELLS = ("bash", "zsh")


class PrintCompletion(argparse.Action):
    """Prints the completion of a command for a shell, and exits."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(
            option_strings,
            dest,
            choices=SHELLS,
            default=argparse.SUPPRESS,
            help="Print the completion of this command for a shell and exit; needs the extra completion.",
        )

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Print and exit."""
        parser._print_message(f"{completion(parser, str(values))}\n", sys.stdout)
        parser.exit()


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """A script for a shell.

    Raises:
        MissingDependency: shtab is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise MissingDependency.of("--print-completion", error.name, "completion") from error
    for action in parser._actions:
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    script: str = shtab.complete(parser, shell)
    return script
