"""Typed, bounded access to the fields of an untrusted JSON document."""

from collections.abc import Mapping
from typing import Any

from emf.runtime.errors import ArtifactError

MAX_NUMBER = 1e300


class JsonFields:
    """A JSON object whose fields are checked as they are read.

    Every failure is an `ArtifactError` that names the place in the document.
    """

    def __init__(self, value: Any, where: str) -> None:
        """Wrap `value`, which must be a JSON object; `where` names it in errors."""
        self.where = where
        if not isinstance(value, dict):
            raise ArtifactError(f"{where}: expected an object, found {type(value).__name__}; export the model again")
        self._values: dict[str, Any] = value

    def require(self, condition: bool, message: str) -> None:
        """Raise `ArtifactError` with `message` unless `condition` holds."""
        if not condition:
            raise ArtifactError(f"{self.where}: {message}; export the model again")

    def has(self, name: str) -> bool:
        """Whether the object has this field."""
        return name in self._values

    def is_null(self, name: str) -> bool:
        """Whether the field is null."""
        return self._get(name) is None

    def _get(self, name: str) -> Any:
        self.require(name in self._values, f"field {name!r} is missing")
        return self._values[name]

    def integer(self, name: str, low: int = 0, high: int = 2**53) -> int:
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
        self.require(all(isinstance(v, int) and v >= 0 for v in values), f"{name!r} must be a list of integers")
        return tuple(values)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self._list(name)
        self.require(all(isinstance(v, str) for v in values), f"{name!r} must be a list of strings")
        return tuple(values)

    def shape(self, name: str, limit: int) -> tuple[int | None, ...]:
        """A tensor's shape: sizes from 1 to `limit`; `null` (the batch) on axis 0 and nowhere else."""
        values = self._list(name)
        batch_first = bool(values) and len(values) <= 8 and values[0] is None
        sized = all(isinstance(v, int) and 1 <= v <= limit for v in values[1:])
        self.require(batch_first and sized, f"{name!r} must be null (the batch) followed by positive sizes")
        return tuple(values)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object that is kept as it is."""
        value = self._get(name)
        self.require(isinstance(value, dict), f"{name!r} must be an object")
        document: dict[str, Any] = value
        return document

    def fields(self, name: str) -> "JsonFields":
        """A nested object."""
        return JsonFields(self._get(name), f"{self.where}: {name}")

    def list_of_fields(self, name: str) -> list["JsonFields"]:
        """A list of nested objects."""
        return [JsonFields(value, f"{self.where}: {name}[{index}]") for index, value in enumerate(self._list(name))]
