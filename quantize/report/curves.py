"""What the report's plots draw."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emf.runtime.measure.latency import Measurements

_POINTS = 200


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves of one variant, at most some hundred points each, milliseconds.

    Attributes:
        chunk_ms_percentiles: latency of a chunk at 0, 1, … 100 %.
        components_ms_percentiles: time in each component at 0, 1, … 100 %.
        chunk_ms_over_time: median latency of successive stretches of the audio.
    """

    chunk_ms_percentiles: tuple[float, ...]
    components_ms_percentiles: Mapping[str, tuple[float, ...]]
    chunk_ms_over_time: tuple[float, ...]

    @classmethod
    def of(cls, measurements: Measurements) -> "Curves":
        """The curves of a variant's chunks."""
        chunks = 1e3 * np.asarray(measurements.chunks)
        components = measurements.components
        names = components[0] if components else {}
        shares = np.linspace(0, 100, 101)
        pieces = np.array_split(chunks, min(_POINTS, len(chunks)))
        return cls(
            chunk_ms_percentiles=tuple(np.percentile(chunks, shares).tolist()),
            components_ms_percentiles={
                name: tuple(np.percentile([1e3 * c[name] for c in components], shares).tolist()) for name in names
            },
            chunk_ms_over_time=tuple(float(np.median(piece)) for piece in pieces),
        )
