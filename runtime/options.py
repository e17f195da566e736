"""How a dataclass of options states the bounds, the choices and the help of each field, in one place.

Checks, command-line flags and the table in the documentation are made from these statements.
"""

import math
from dataclasses import Field, dataclass, field, fields, replace
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any

from emf.runtime.errors import UsageError

_KEY = "option"


@dataclass(frozen=True, slots=True)
class Option:
    """What is known of one field beside its name, its type and its default.

    Attributes:
        help: a full sentence.
        kind: `bool`, `int`, `float`, `str` or `Path`.
        group: heading under which commands list the flag.
        low: smallest value.
        high: greatest value.
        choices: the only values, for text.
        above: every value must be greater.
        unset: what the default means, where its value does not say it.
    """

    help: str
    kind: type
    group: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    above: float = -math.inf
    unset: str = ""

    @property
    def range(self) -> str:
        """The valid values in words; empty where any text will do."""
        if self.kind is bool:
            return "True or False"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind not in (int, float):
            return ""
        if self.above > -math.inf:
            return f"above {self.above:g}" + ("" if self.high == math.inf else f" and at most {self.high:g}")
        return f"of at least {self.low:g}" if self.high == math.inf else f"from {self.low:g} to {self.high:g}"

    def allows(self, value: object) -> bool:
        """Whether a value lies within the bounds, is finite and of the right type."""
        if self.kind is bool:
            return isinstance(value, bool)
        if self.kind is Path:
            return isinstance(value, str | PathLike)
        if self.kind is str:
            return isinstance(value, str) and (not self.choices or value in self.choices)
        if isinstance(value, bool) or not isinstance(value, Integral if self.kind is int else Real):
            return False
        try:
            number = float(value)
        except OverflowError:
            return False
        return self.low <= number <= self.high and self.above < number < math.inf


def option(default: Any, help: str, *, kind: type | None = None, group: str = "options", **bounds: Any) -> Any:
    """A field of a dataclass of options; the arguments are those of `Option`, `kind` is that of the default."""
    stated = Option(help, type(default) if kind is None else kind, group, **bounds)
    return field(default=default, metadata={_KEY: stated})


def same_option(other: type, name: str, **changes: Any) -> Any:
    """A field that states what a field of another dataclass of options states, but for the default and `unset`."""
    original, stated = stated_options(other)[name]
    default = changes.get("default", original.default)
    return field(default=default, metadata={_KEY: replace(stated, unset=changes.get("unset", stated.unset))})


def stated_options(options: Any) -> dict[str, tuple[Field[Any], Option]]:
    """The fields of a dataclass (or of its value) that state an `Option`, by name."""
    return {one.name: (one, one.metadata[_KEY]) for one in fields(options) if _KEY in one.metadata}


def check_options(options: Any) -> None:
    """Refuse values that make no sense; a default of `None` or infinity makes sense.

    Numbers of other types, such as numpy's, become Python's own.

    Raises:
        UsageError: naming the field, what it may be and what was found.
    """
    for name, (one, stated) in stated_options(options).items():
        value = getattr(options, name)
        if value is None and one.default is None:
            continue
        if isinstance(value, Real) and value == one.default == math.inf:
            continue
        if not stated.allows(value):
            raise UsageError(f"expected {name} {stated.range or stated.kind.__name__}, found {value!r:.60}")
        if stated.kind in (int, float):
            object.__setattr__(options, name, stated.kind(value))
