"""Which mixtures of precisions are worth a try, predicted from each component quantized alone.

The time of a chunk is the sum of its components' times, and word errors that two components cost seldom coincide: so
changes are added up. A prediction only decides what is tried.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from emf.runtime.artifact.manifest import GRAPH_NAMES
from emf.runtime.artifact.variant import FLOAT

Mixture = dict[str, str]
"""A precision for each component."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one component in one precision changes, all others in float: milliseconds of a chunk, and WER."""

    chunk_ms: float
    wer: float


UNCHANGED = Change(0.0, 0.0)


def promising_mixtures(alone: Mapping[tuple[str, str], Change], budget: float, most: int) -> list[Mixture]:
    """Mixtures of two or more quantized components, in the order in which to try them.

    Args:
        alone: by component and precision. A precision that another one of the same component beats in both time and
            errors is left out; float beats none, for what is a little slower alone may be noise.
        budget: how much more WER is allowed.
        most: how many to give.

    Returns:
        First those within the budget, the fastest first; then the others, the most exact first.
    """
    options = {component: _unbeaten(component, alone) for component in GRAPH_NAMES}
    ranked = []
    for parts in itertools.product(*(options[component] for component in GRAPH_NAMES)):
        if sum(part != FLOAT for part in parts) < 2:
            continue
        changes = [options[component][part] for component, part in zip(GRAPH_NAMES, parts, strict=True)]
        milliseconds, wer = sum(change.chunk_ms for change in changes), sum(change.wer for change in changes)
        excess = max(wer - budget, 0.0)
        ranked.append((excess, milliseconds, dict(zip(GRAPH_NAMES, parts, strict=True))))
    ranked.sort(key=lambda entry: entry[:2])
    return [mixture for _, _, mixture in ranked[:most]]


def _unbeaten(component: str, alone: Mapping[tuple[str, str], Change]) -> dict[str, Change]:
    """Float, and the quantized forms of a component that no other one beats in both time and errors."""
    found = {precision: change for (name, precision), change in alone.items() if name == component}
    kept = {p: change for p, change in found.items() if not any(_beats(other, change) for other in found.values())}
    return {FLOAT: UNCHANGED} | kept


def _beats(other: Change, change: Change) -> bool:
    return other != change and other.chunk_ms <= change.chunk_ms and other.wer <= change.wer
