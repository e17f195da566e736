"""A trained feed-forward network cut into experts: neurons that act together, and a probe that chooses.

Source: "MoEfication" (arXiv 2110.01786) cuts by co-activation with balanced k-means; here an expert that is not chosen
leaves its neurons' means behind, and the router is a ridge regression on the row and random ReLU features of it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emf.quantize.structure.statistics import Sample
from emf.quantize.structure.weights import LayerWeights
from emf.runtime.arrays import FloatArray

_ROUNDS = 8
_CLUSTERED_ROWS = 512
_RANDOM_FEATURES = 256
_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Importance:
    """How much each neuron of a layer moves its output.

    Attributes:
        mean: of each neuron, (F,).
        norms: of each neuron's output weights, (F,).
    """

    mean: FloatArray
    norms: FloatArray

    @classmethod
    def of(cls, layer: LayerWeights, hidden: FloatArray) -> "Importance":
        """From neurons of some rows, (n, F)."""
        return cls(hidden.mean(axis=0), np.linalg.norm(layer.ffn_out.weight, axis=0))

    def __call__(self, hidden: FloatArray) -> FloatArray:
        """What each neuron adds to the output beyond its mean, as a length, (n, F)."""
        return np.asarray(np.abs(hidden - self.mean) * self.norms, np.float32)


@dataclass(frozen=True, slots=True)
class Probe:
    """Scores of experts from a layer's rows: ridge regression on [row, random ReLU features of it, 1]."""

    directions: FloatArray
    weights: FloatArray

    @classmethod
    def fit(cls, rows: FloatArray, scores: FloatArray, random: np.random.Generator) -> "Probe":
        """Fit to rows (n, d) and the scores (n, E) that they should have."""
        directions = random.standard_normal((rows.shape[1], _RANDOM_FEATURES), np.float32)
        directions /= np.sqrt(np.float32(rows.shape[1]))
        features = _features(rows, directions).astype(np.float64)
        gram = features.T @ features
        gram += _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        return cls(directions, np.linalg.solve(gram, features.T @ scores).astype(np.float32))

    def __call__(self, rows: FloatArray) -> FloatArray:
        """Scores, (n, E)."""
        return np.asarray(_features(rows, self.directions) @ self.weights, np.float32)


@dataclass(frozen=True, slots=True)
class LayerExperts:
    """One layer's experts.

    Attributes:
        owner: the expert of each neuron, (F,).
        importance: of neurons.
        probe: chooses.
    """

    owner: npt.NDArray[np.int64]
    importance: Importance
    probe: Probe

    @classmethod
    def fit(cls, layer: LayerWeights, sample: Sample, experts: int, seed: int) -> "LayerExperts":
        """Cluster a layer's neurons on sampled rows, and fit the probe."""
        random = np.random.default_rng(seed)
        importance = Importance.of(layer, sample.hidden)
        moves = importance(sample.hidden)
        owner = balanced_clusters(moves[random.permutation(len(moves))[:_CLUSTERED_ROWS]].T, experts, random)
        return cls(owner, importance, Probe.fit(sample.rows, moves @ one_hot(owner, experts), random))

    def oracle(self, hidden: FloatArray) -> FloatArray:
        """What each expert really adds, (n, E)."""
        return np.asarray(self.importance(hidden) @ one_hot(self.owner, int(self.owner.max()) + 1), np.float32)

    def only(self, hidden: FloatArray, chosen: npt.NDArray[np.bool_]) -> FloatArray:
        """Neurons of the chosen experts (n, E), and the means of all others."""
        return np.where(chosen[:, self.owner], hidden, self.importance.mean)


def balanced_clusters(
    points: FloatArray, clusters: int, random: np.random.Generator, rounds: int = _ROUNDS
) -> npt.NDArray[np.int64]:
    """Clusters of equal size, within one, by the direction of the points (n, dims): nearest pairs first."""
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), np.float32(1e-12))
    sizes = np.full(clusters, len(points) // clusters)
    sizes[: len(points) % clusters] += 1
    centres = points[random.choice(len(points), clusters, replace=False)]
    owner = np.zeros(len(points), np.int64)
    for _ in range(rounds):
        owner = _assign(points @ centres.T, sizes)
        centres = np.stack([points[owner == cluster].mean(axis=0) for cluster in range(clusters)])
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), np.float32(1e-12))
    return owner


def _assign(similarity: FloatArray, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Owner of each point: the closest pairs come first, and a cluster that is full takes no more."""
    room, owner = sizes.copy(), np.full(len(similarity), -1)
    for pair in np.argsort(-similarity, axis=None, kind="stable").tolist():
        point, cluster = divmod(pair, len(room))
        if owner[point] < 0 and room[cluster]:
            owner[point] = cluster
            room[cluster] -= 1
    return owner


def one_hot(owner: npt.NDArray[np.int64], clusters: int) -> FloatArray:
    """Which cluster owns each point, (n, clusters)."""
    return np.eye(clusters, dtype=np.float32)[owner]


def best(scores: FloatArray, count: int) -> npt.NDArray[np.bool_]:
    """The `count` greatest scores of each row, as a mask."""
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, np.argpartition(-scores, count - 1, axis=1)[:, :count], True, axis=1)
    return chosen


def _features(rows: FloatArray, directions: FloatArray) -> FloatArray:
    hidden = np.maximum(rows @ directions, np.float32(0.0))
    return np.concatenate([rows, hidden, np.ones((len(rows), 1), np.float32)], axis=1)
