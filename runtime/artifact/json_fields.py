"""Typed, bounded access to the fields of an untrusted JSON document."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emf.runtime.errors import ArtifactError, EmfError

MAX_NUMBER = 1e300
MAX_INTEGER = 2**53


class JsonFields:
    """A JSON object whose fields are checked as they are read. Every failure names the place in the document."""

    def __init__(
        self,
        value: Any,
        where: str,
        error: type[EmfError] = ArtifactError,
        advice: str = "export the model again",
    ) -> None:
        """Wrap a JSON object.

        Args:
            value: must be an object.
            where: names it in errors.
            error: what to raise.
            advice: what to do about it.
        """
        self.where, self._error, self._advice = where, error, advice
        self.require(isinstance(value, dict), f"expected an object, found {type(value).__name__}")
        self._values: dict[str, Any] = value

    @property
    def values(self) -> Mapping[str, Any]:
        """The whole object, unchecked."""
        return self._values

    def require(self, condition: bool, message: str) -> None:
        """Raise the error with `message` unless `condition` holds."""
        if not condition:
            raise self._error(f"{self.where}: {message}; {self._advice}")

    def has(self, name: str) -> bool:
        """Whether the object has this field."""
        return name in self._values

    def is_null(self, name: str) -> bool:
        """Whether the field is null."""
        return self._get(name) is None

    def _get(self, name: str) -> Any:
        self.require(name in self._values, f"field {name!r} is missing")
        return self._values[name]

    def integer(self, name: str, low: int = 0, high: int = MAX_INTEGER) -> int:
        """An integer within [low, high]."""
        value = self._get(name)
        valid = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        self.require(valid, f"{name!r} must be an integer from {low} to {high}, found {value!r:.40}")
        return int(value)

    def flag(self, name: str) -> bool:
        """A boolean."""
        value = self._get(name)
        self.require(isinstance(value, bool), f"{name!r} must be true or false, found {value!r:.40}")
        return bool(value)

    def number(self, name: str, low: float, high: float) -> float:
        """A finite number within [low, high]."""
        value = self._get(name)
        valid = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        self.require(valid, f"{name!r} must be a number from {low} to {high}, found {value!r:.40}")
        return float(value)

    def text(self, name: str, limit: int = 4096) -> str:
        """A string of at most `limit` characters, not empty."""
        value = self._get(name)
        self.require(isinstance(value, str) and 0 < len(value) <= limit, f"{name!r} must be a non-empty string")
        return str(value)

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """One of `options`."""
        value = self._get(name)
        self.require(value in options, f"{name!r} must be one of {', '.join(options)}, found {value!r:.40}")
        return str(value)

    def _list(self, name: str) -> list[Any]:
        value = self._get(name)
        self.require(isinstance(value, list), f"{name!r} must be a list")
        items: list[Any] = value
        return items

    def numbers(self, name: str, length: int) -> tuple[float, ...]:
        """A list of `length` finite numbers."""
        values = self._list(name)
        valid = len(values) == length and all(
            isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= MAX_NUMBER for v in values
        )
        self.require(valid, f"{name!r} must be a list of {length} finite numbers")
        return tuple(float(v) for v in values)

    def integers(self, name: str) -> tuple[int, ...]:
        """A list of integers that are not negative."""
        values = self._list(name)
        valid = all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= MAX_INTEGER for v in values)
        self.require(valid, f"{name!r} must be a list of integers")
        return tuple(values)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self._list(name)
        self.require(all(isinstance(v, str) for v in values), f"{name!r} must be a list of strings")
        return tuple(values)

    def shape(self, name: str, limit: int) -> tuple[int | None, ...]:
        """A tensor's shape: sizes from 1 to `limit`, and `null` for the one axis that is the batch."""
        values = self._list(name)
        one_batch = 1 <= len(values) <= 8 and values.count(None) == 1
        sized = all(isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= limit for v in values if v is not None)
        self.require(one_batch and sized, f"{name!r} must be positive sizes and one null (the batch)")
        return tuple(values)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object that is kept as it is."""
        value = self._get(name)
        self.require(isinstance(value, dict), f"{name!r} must be an object")
        document: dict[str, Any] = value
        return document

    def fields(self, name: str) -> "JsonFields":
        """A nested object."""
        return self._nested(self._get(name), name)

    def list_of_fields(self, name: str) -> list["JsonFields"]:
        """A list of nested objects."""
        return [self._nested(value, f"{name}[{index}]") for index, value in enumerate(self._list(name))]

    def _nested(self, value: Any, name: str) -> "JsonFields":
        return JsonFields(value, f"{self.where}: {name}", self._error, self._advice)


def read_json_fields(path: Path, most_bytes: int, error: type[EmfError], advice: str) -> JsonFields:
    """A JSON object from a file of bounded size; `error` and `advice` are those of `JsonFields`."""
    if not path.is_file():
        raise error(f"{path}: expected a JSON file, but there is no such file; {advice}")
    if path.stat().st_size > most_bytes:
        raise error(f"{path}: {path.stat().st_size} bytes are too many for this JSON file; {advice}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror}); {advice}") from problem
    except (ValueError, RecursionError) as problem:
        raise error(f"{path}: expected JSON, but {problem}; {advice}") from problem
    return JsonFields(document, str(path), error, advice)
