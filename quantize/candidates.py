"""What `--precision auto` tried on the dev set, and what it chose."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from emf.quantize.accuracy import ErrorCounts
from emf.quantize.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant tried on the dev set.

    Attributes:
        name: how it is called in the explanation.
        recipe: how its graphs are quantized.
        counts: its word errors.
        chunk_ms: median time of a chunk.
        components_ms: median time of a chunk by component.
        blank_penalty: fitted to it, 0 if none was needed.
    """

    name: str
    recipe: Recipe
    counts: ErrorCounts
    chunk_ms: float
    components_ms: Mapping[str, float]
    blank_penalty: float = 0.0

    def within(self, baseline: "Candidate", budget: float) -> bool:
        """Whether its WER is at most so much above the float variant's."""
        return bool(self.counts.rate <= baseline.counts.rate + budget)

    def to_document(self, baseline: "Candidate") -> dict[str, Any]:
        """As JSON, beside the float variant."""
        return {
            "name": self.name,
            "wer": self.counts.rate,
            "wer_increase": self.counts.rate - baseline.counts.rate,
            **asdict(self.counts.totals()),
            "chunk_ms": self.chunk_ms,
            "speedup": baseline.chunk_ms / self.chunk_ms if self.chunk_ms else 0.0,
            "blank_penalty": self.blank_penalty,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """What the search found.

    Attributes:
        baseline: the float variant.
        tried: every other.
        best: the fastest within the budget.
        max_wer_increase: the budget.
        mixtures: how many the backend's precisions allow, tried or not.
        decodings: how often the dev set was decoded.
    """

    baseline: Candidate
    tried: tuple[Candidate, ...]
    best: Candidate
    max_wer_increase: float
    mixtures: int
    decodings: int

    def to_document(self) -> dict[str, Any]:
        """As JSON for the manifest."""
        return {
            "max_wer_increase": self.max_wer_increase,
            "baseline": self.baseline.to_document(self.baseline),
            "tried": [candidate.to_document(self.baseline) for candidate in self.tried],
            "mixtures": self.mixtures,
            "decodings": self.decodings,
            "chosen": self.best.to_document(self.baseline),
            "reason": self.reason(),
        }

    def reason(self) -> str:
        """Why this one, in numbers."""
        best, baseline = self.best, self.baseline
        fitting = sum(candidate.within(baseline, self.max_wer_increase) for candidate in self.tried)
        penalty = f" with a blank penalty of {best.blank_penalty:g}" if best.blank_penalty else ""
        speed = baseline.chunk_ms / best.chunk_ms if best.chunk_ms else 0.0
        return (
            f"{best.name}{penalty}: WER {100 * best.counts.rate:.2f} % against {100 * baseline.counts.rate:.2f} % "
            f"of fp32, {best.chunk_ms:.2f} ms a chunk against {baseline.chunk_ms:.2f} ({speed:.2f} times as fast); "
            f"the fastest of {fitting} within {100 * self.max_wer_increase:g} points, of {len(self.tried)} tried "
            f"({self.mixtures} mixtures of precisions are possible; the dev set was decoded {self.decodings} times)"
        )
