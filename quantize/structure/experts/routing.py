"""Experts at work on speech: which of them each row chooses, and how many a batch of streams touches together."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from emf.quantize.structure.encoder import AsTrained
from emf.quantize.structure.experts.clusters import Importance, LayerExperts, best
from emf.quantize.structure.rows import Activity
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Geometry

STREAMS = (1, 4, 16, 60)
ENERGY = 0.9
_DRAWS = 200
BoolArray = npt.NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)


class Routed(AsTrained):
    """Layers in which only the chosen experts' neurons are alive.

    Attributes:
        touched: by layer, experts that each step's rows chose, (steps, E) an utterance.
        scores: by layer, of the rows of each step, (steps, rows, E) an utterance.
    """

    def __init__(self, layers: Sequence[LayerExperts], chosen: int, geometry: Geometry, oracle: bool) -> None:
        self._layers, self._chosen, self._geometry, self._oracle = layers, chosen, geometry, oracle
        self.touched: list[list[BoolArray]] = [[] for _ in layers]
        self.scores: list[list[FloatArray]] = [[] for _ in layers]

    def hidden(self, layer: int, rows: FloatArray, hidden: FloatArray) -> FloatArray:
        """See `Layers`."""
        experts = self._layers[layer]
        scores = experts.oracle(hidden) if self._oracle else experts.probe(rows)
        chosen = best(scores, self._chosen)
        self.touched[layer].append(_union(chosen, self._geometry))
        self.scores[layer].append(by_step(scores, self._geometry))
        return experts.only(hidden, chosen)


class Counting(AsTrained):
    """Counts how many neurons the rows and the steps use."""

    def __init__(self, importances: Sequence[Importance], geometry: Geometry) -> None:
        self._importances, self._geometry = importances, geometry
        self._sums = np.zeros((len(importances), 3))
        self._counts = np.zeros((len(importances), 2))

    def hidden(self, layer: int, rows: FloatArray, hidden: FloatArray) -> FloatArray:
        """See `Layers`."""
        moves = np.abs(hidden) * self._importances[layer].norms
        used = carriers(moves, ENERGY)
        steps = _union(used, self._geometry)
        self._sums[layer] += [np.mean(hidden > 0, axis=1).sum(), used.mean(axis=1).sum(), steps.mean(axis=1).sum()]
        self._counts[layer] += [len(hidden), len(steps)]
        return hidden

    def activity(self) -> tuple[Activity, ...]:
        """One row a layer."""
        return tuple(
            Activity(index, positive / rows, energy / rows, in_step / steps)
            for index, ((positive, energy, in_step), (rows, steps)) in enumerate(
                zip(self._sums.tolist(), self._counts.tolist(), strict=True)
            )
        )


def carriers(moves: FloatArray, share: float) -> BoolArray:
    """The fewest neurons of each row that carry this share of its sum, as a mask of `moves` (n, F)."""
    order = np.argsort(-moves, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(moves, order, axis=1), axis=1)
    before = np.concatenate([np.zeros((len(moves), 1), np.float32), sums[:, :-1]], axis=1)
    used = np.zeros(moves.shape, bool)
    np.put_along_axis(used, order, before < share * sums[:, -1:], axis=1)
    return used


def by_step(rows: npt.NDArray[Number], geometry: Geometry) -> npt.NDArray[Number]:
    """Rows of a block, segments' frames before right contexts, as (steps, rows a step, ...)."""
    frames = geometry.frames_per_step
    right = geometry.step_length // geometry.subsampling_factor - frames
    steps = len(rows) // (frames + right)
    parts = [rows[: steps * frames].reshape(steps, frames, -1), rows[steps * frames :].reshape(steps, right, -1)]
    return np.concatenate(parts, axis=1)


def _union(rows: BoolArray, geometry: Geometry) -> BoolArray:
    """What any row of a step has, (steps, ...)."""
    return np.asarray(np.any(by_step(rows, geometry), axis=1), np.bool_)


def share_touched(touched: Sequence[BoolArray], streams: int, random: np.random.Generator) -> float:
    """Share of experts that at least one of so many streams touches in a step, over the layers.

    Args:
        touched: of each layer, experts that each step of the speech touched, (steps, E).
        streams: in the batch: each is in another step of the speech, drawn at random; one stream is exact.
        random: draws.
    """
    if streams == 1:
        return float(np.mean([layer.mean() for layer in touched]))
    drawn = random.integers(len(touched[0]), size=(_DRAWS, streams))
    return float(np.mean([layer[drawn].any(axis=1).mean() for layer in touched]))
