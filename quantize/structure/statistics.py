"""What the layers see on real speech: the inputs' covariance, and rows with their neurons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emf.quantize.structure.encoder import AsTrained, Encoder
from emf.quantize.structure.speech import Speech
from emf.quantize.structure.weights import EncoderWeights
from emf.runtime.arrays import FloatArray

DoubleArray = npt.NDArray[np.float64]
_MOST_BYTES = 400 * 2**20
_MOST_ROWS = 6000


@dataclass(frozen=True, slots=True)
class Inputs:
    """Mean (d,) and covariance (d, d) of the normed rows that a layer makes keys and values of."""

    mean: DoubleArray
    covariance: DoubleArray


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of a layer's feed-forward network drawn at random.

    Attributes:
        rows: normed inputs, (n, d).
        hidden: their neurons, (n, F).
    """

    rows: FloatArray
    hidden: FloatArray


class _Covariances(AsTrained):
    def __init__(self, weights: EncoderWeights) -> None:
        shape = (len(weights.layers), weights.dim)
        self.count = np.zeros(shape[0])
        self.sums, self.products = np.zeros(shape), np.zeros((*shape, weights.dim))

    def attention_input(self, layer: int, rows: FloatArray) -> None:
        """See `Layers`."""
        self.count[layer] += len(rows)
        self.sums[layer] += rows.sum(axis=0, dtype=np.float64)
        self.products[layer] += rows.T @ rows


class _Draw(AsTrained):
    def __init__(self, num_layers: int, share: float, seed: int) -> None:
        self._share, self._random = share, np.random.default_rng(seed)
        self.rows: list[list[FloatArray]] = [[] for _ in range(num_layers)]
        self.kept: list[list[FloatArray]] = [[] for _ in range(num_layers)]

    def hidden(self, layer: int, rows: FloatArray, hidden: FloatArray) -> FloatArray:
        """See `Layers`."""
        drawn = self._random.random(len(rows)) < self._share
        self.rows[layer].append(rows[drawn])
        self.kept[layer].append(hidden[drawn])
        return hidden


def attention_inputs(speech: Speech, weights: EncoderWeights, indices: Sequence[int] | None = None) -> list[Inputs]:
    """Mean and covariance of each layer's attention inputs over utterances; `None` is all of them."""
    seen = _Covariances(weights)
    speech.encode(Encoder(weights, speech.geometry, seen), indices)
    means = seen.sums / seen.count[:, None]
    products = seen.products / seen.count[:, None, None]
    return [Inputs(m, p - np.outer(m, m)) for m, p in zip(means, products, strict=True)]


def draw_rows(speech: Speech, weights: EncoderWeights, indices: Sequence[int], seed: int) -> list[Sample]:
    """Rows of each layer's feed-forward network, drawn from utterances: some thousand, within bounded memory."""
    geometry = speech.geometry
    total = sum(len(speech.windows(geometry)[i]) for i in indices) * geometry.step_length // geometry.subsampling_factor
    most = min(_MOST_ROWS, _MOST_BYTES // (4 * len(weights.layers) * weights.neurons))
    drawn = _Draw(len(weights.layers), min(1.0, most / max(total, 1)), seed)
    speech.encode(Encoder(weights, geometry, drawn), indices)
    return [Sample(np.concatenate(r), np.concatenate(h)) for r, h in zip(drawn.rows, drawn.kept, strict=True)]
