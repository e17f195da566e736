"""A variant of an artifact: the same model for one backend, in one precision."""

from typing import NamedTuple

FLOAT = "fp32"
"""The precision that an export writes, and every other is compared with."""


class Variant(NamedTuple):
    """Backend and precision; written `<backend>/<precision>`, as its folder is."""

    backend: str
    precision: str

    def __str__(self) -> str:
        return f"{self.backend}/{self.precision}"

    @classmethod
    def parse(cls, text: str) -> "Variant":
        """From `<backend>/<precision>`."""
        backend, _, precision = text.partition("/")
        return cls(backend, precision)

    @property
    def is_float(self) -> bool:
        """Whether this is the precision that an export writes."""
        return self.precision == FLOAT

    @property
    def float_variant(self) -> "Variant":
        """That precision for the same backend."""
        return Variant(self.backend, FLOAT)
