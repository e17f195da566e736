"""How far a backend's tensors lie from PyTorch's."""

from dataclasses import dataclass, field

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.errors import ToleranceError


@dataclass
class Deviations:
    """The greatest deviation seen of every tensor of one backend; the first one out of tolerance raises."""

    backend: str
    atol: float
    by_tensor: dict[str, float] = field(default_factory=dict)

    def compare(
        self, name: str, found: FloatArray, expected: FloatArray, place: str, tolerance: float | None = None
    ) -> None:
        """Note the deviation of a tensor.

        Raises:
            ToleranceError: it exceeds `tolerance`, `atol` if none is given, or is not a number.
        """
        tolerance = self.atol if tolerance is None else tolerance
        if found.shape != expected.shape:
            raise ToleranceError(f"{self.backend}: {name}: shape {found.shape} instead of {expected.shape} at {place}")
        deviation = float(np.max(np.abs(found - expected), initial=0.0))
        self.by_tensor[name] = max(self.by_tensor.get(name, 0.0), deviation)
        if not deviation <= tolerance:
            raise ToleranceError(
                f"{self.backend}: {name} deviates from PyTorch by {deviation:.2e} at {place}, more than the tolerance "
                f"of {tolerance:.0e}; the graph is not equal to the model, or --atol is too strict for it"
            )

    def worst(self, graph: str | None = None) -> float:
        """The greatest deviation, of one graph or of all."""
        return max((v for k, v in self.by_tensor.items() if graph is None or k.startswith(graph)), default=0.0)
