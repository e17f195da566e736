"""Other lengths of segment and context than a model was trained with: the same weights, on purpose."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from emf.export.model_config import geometry_of
from emf.runtime.artifact.manifest import Geometry
from emf.runtime.errors import UsageError

_KEYS = {
    "segment_length": "segment_length",
    "right_context_length": "right_context_length",
    "left_context_length": "transformer_left_context_length",
}
"""The model configuration's names of the lengths; in `Geometry` they are called alike or without `transformer_`."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths in the units of a model's configuration; `None` keeps the model's own.

    Attributes:
        segment_length: feature frames of a segment.
        right_context_length: feature frames seen ahead of it.
        left_context_length: encoder frames seen behind it, each `time_reduction_stride` feature frames long.
    """

    segment_length: int | None = None
    right_context_length: int | None = None
    left_context_length: int | None = None

    @classmethod
    def of(cls, geometry: Geometry) -> "Lengths":
        """Those of a geometry."""
        return cls(geometry.segment_length, geometry.right_context_length, geometry.left_context_length)

    def as_document(self) -> dict[str, Any]:
        """As the manifest tells them."""
        return asdict(self)

    def applied_to(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A model's configuration with these lengths.

        Raises:
            UsageError: the model cannot run with them.
        """
        trained = geometry_of(config)
        stride = trained.subsampling_factor
        for flag, frames, known in (
            ("--segment-length", self.segment_length, trained.segment_length),
            ("--right-context", self.right_context_length, trained.right_context_length),
        ):
            if frames not in (None, known) and frames % stride:
                raise UsageError(
                    f"expected a {flag} that is a multiple of the model's {stride} feature frames in an encoder frame, "
                    f"found {frames}"
                )
        if self.segment_length == 0:
            raise UsageError(f"expected a --segment-length of at least {stride} feature frames, found 0")
        changed = self.segment_length not in (None, trained.segment_length)
        if changed and trained.max_memory_size:
            raise UsageError(
                f"expected a --segment-length of {trained.segment_length}, as the model was trained with: its memory "
                f"bank holds a vector for each segment; found {self.segment_length}; change the contexts alone"
            )
        chosen = {_KEYS[name]: frames for name, frames in asdict(self).items() if frames is not None}
        return dict(config) | chosen
