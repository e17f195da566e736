"""Command-line flags made from a dataclass of options, and the options made from what was given."""

import argparse
from collections.abc import Callable, Collection
from dataclasses import Field
from typing import Any, TypeVar

from emf.runtime.commands.command_line import CommandParser
from emf.runtime.options import Option, stated_options

OptionsT = TypeVar("OptionsT")


def flag_of(name: str) -> str:
    """The flag of an option: `--beam-width` for `beam_width`."""
    return "--" + name.replace("_", "-")


def add_option_flags(parser: CommandParser, options: type, omit: Collection[str] = (), heading: str = "") -> None:
    """Add a flag for every option, under the heading of its group.

    Args:
        parser: of the command.
        options: a dataclass of options.
        omit: options that this command has no flag for.
        heading: what stands before the name of a group.
    """
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, (field, stated) in stated_options(options).items():
        if name in omit:
            continue
        if stated.group not in groups:
            groups[stated.group] = parser.add_argument_group(f"{heading}{stated.group}")
        if stated.kind is bool:
            help = f"{stated.help} Default: {default_of(field, stated)}."
            groups[stated.group].add_argument(flag_of(name), action="store_true", default=argparse.SUPPRESS, help=help)
            continue
        groups[stated.group].add_argument(
            flag_of(name),
            type=_parse(stated),
            choices=stated.choices or None,
            default=argparse.SUPPRESS,
            metavar=None if stated.choices else stated.kind.__name__.upper(),
            help=f"{stated.help} Default: {default_of(field, stated)}.",
        )


def default_of(field: Field[Any], stated: Option) -> str:
    """The default in words."""
    return stated.unset or str(field.default)


def _parse(stated: Option) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = stated.kind(text)
        except ValueError:
            value = None
        if stated.choices or stated.kind not in (int, float):
            return value
        if not stated.allows(value):
            raise argparse.ArgumentTypeError(f"expected a number {stated.range}, found {text!r}")
        return value

    return parse


def options_from(namespace: argparse.Namespace, options: type[OptionsT], omit: Collection[str] = ()) -> OptionsT:
    """The options whose flags were given; the others, and those that were omitted, have their defaults."""
    given = {name: value for name, value in vars(namespace).items() if name not in omit}
    return options(**{name: given[name] for name in stated_options(options) if name in given})
