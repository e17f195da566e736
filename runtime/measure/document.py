"""Figures as JSON: a dataclass gives an object with its fields' names as keys, in the fields' order.

Numbers are rounded to seven digits: no measurement means more, and 0.68 reads better than 0.6800000000000001.
"""

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any, ClassVar, Protocol

_DIGITS = 7
INLINE = {"inline": True}
"""Metadata of a field that gives its own keys in place of its name, and no key if it is `None`."""


class Dataclass(Protocol):
    """An instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def to_document(figures: Dataclass) -> dict[str, Any]:
    """A dataclass as a JSON object."""
    document: dict[str, Any] = {}
    for one in fields(figures):
        value = to_json(getattr(figures, one.name))
        if not one.metadata.get("inline"):
            document[one.name] = value
        elif value is not None:
            document |= value
    return document


def to_json(value: Any) -> Any:
    """What `json.dumps` can write, with its numbers rounded."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_document(value)
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
