"""Half of a feed-forward network's neurons gone for good: what experts are measured against."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emf.quantize.structure.experts.clusters import Importance
from emf.quantize.structure.statistics import Sample
from emf.quantize.structure.weights import Affine, EncoderWeights, LayerWeights

_RIDGE = 1e-4


def with_neurons(weights: EncoderWeights, share: float, samples: Sequence[Sample]) -> EncoderWeights:
    """Keep the neurons that move the output most; the output is fitted to the whole by least squares.

    `emf-export --ffn-neurons` chooses with more care; this is the plain form.
    """
    count = max(round(share * weights.neurons), 1)
    layers = [_shrink(layer, sample, count) for layer, sample in zip(weights.layers, samples, strict=True)]
    return replace(weights, layers=tuple(layers))


def _shrink(layer: LayerWeights, sample: Sample, count: int) -> LayerWeights:
    importance = Importance.of(layer, sample.hidden)
    kept = np.sort(np.argsort(-np.square(importance(sample.hidden)).mean(axis=0), kind="stable")[:count])
    centred = (sample.hidden - importance.mean).astype(np.float64)
    some = centred[:, kept]
    gram = some.T @ some
    gram += _RIDGE * np.trace(gram) / count * np.eye(count)
    moves = centred @ layer.ffn_out.weight.T.astype(np.float64)
    weight = np.linalg.solve(gram, some.T @ moves).T.astype(np.float32)
    bias = layer.ffn_out.bias + layer.ffn_out.weight @ importance.mean - weight @ importance.mean[kept]
    return replace(
        layer,
        ffn_in=Affine(layer.ffn_in.weight[kept], layer.ffn_in.bias[kept]),
        ffn_out=Affine(weight, np.asarray(bias, np.float32)),
    )
