"""What-if `ranks`: how few directions hold the keys and values of real speech, and what a latent of them would cost.

`[W_K; W_V] C^½ = U Σ Vᵀ`, C the covariance of the layer's inputs: the latent of rank r keeps the projection on the
first r columns of U, which is the best approximation of keys and values on such inputs. Ranks are spread over the
layers by each direction's share of its layer's energy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from emf.quantize.structure.encoder import Encoder
from emf.quantize.structure.rows import LayerRank, RankCost, Ranks
from emf.quantize.structure.speech import Encodings, Said, Speech, in_halves, words
from emf.quantize.structure.statistics import DoubleArray, Inputs, attention_inputs
from emf.quantize.structure.weights import Affine, EncoderWeights, LayerWeights

SHARES = (0.95, 0.98, 0.99, 0.999)
_OF_WIDTH = ((1, 2), (1, 3), (1, 4), (1, 6))
_FLOAT_BYTES = 4
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Directions:
    """Of one layer: left singular vectors (2 d, d), most energy first, and the energy of each, (d,)."""

    vectors: DoubleArray
    energy: DoubleArray

    @property
    def shares(self) -> DoubleArray:
        """Energies that add up to 1."""
        total: DoubleArray = self.energy / max(float(self.energy.sum()), np.finfo(np.float64).tiny)
        return total


def directions(layer: LayerWeights, inputs: Inputs | None) -> Directions:
    """Whitened directions of a layer's keys and values; without inputs those of its weights alone."""
    weight = layer.key_value.astype(np.float64)
    if inputs is not None:
        values, vectors = np.linalg.eigh(inputs.covariance)
        weight = weight @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    u, s, _ = np.linalg.svd(weight, full_matrices=False)
    return Directions(u, s * s)


def rank_of(share: float, found: Directions) -> int:
    """Directions that hold this share of a layer's energy."""
    return int(np.searchsorted(np.cumsum(found.shares), share * (1 - 1e-12)) + 1)


def spread(mean_rank: int, found: Sequence[Directions]) -> tuple[int, ...]:
    """Ranks of the layers with this mean that hold the most energy, as shares of each layer's; at least 1 each."""
    shares = np.stack([one.shares for one in found])
    shares[:, 0] = np.inf
    chosen = np.argsort(-shares, axis=None, kind="stable")[: mean_rank * len(found)]
    layers = np.unravel_index(chosen, shares.shape)[0]
    return tuple(np.bincount(layers, minlength=len(found)).tolist())


def projected(
    weights: EncoderWeights, ranks: Sequence[int], found: Sequence[Directions], inputs: Sequence[Inputs]
) -> EncoderWeights:
    """Weights whose keys and values lie in the first directions of each layer; their mean stays."""
    layers = []
    for layer, rank, one, seen in zip(weights.layers, ranks, found, inputs, strict=True):
        basis, dim = one.vectors[:, :rank], weights.dim
        whole = layer.key_value.astype(np.float64)
        kept = basis @ (basis.T @ whole)
        weight, bias = layer.projection.weight.copy(), layer.projection.bias.copy()
        weight[dim:] = kept
        bias[dim:] += (whole - kept) @ seen.mean
        layers.append(replace(layer, projection=Affine(weight, bias)))
    return replace(weights, layers=tuple(layers))


def what_if_ranks(speech: Speech, weights: EncoderWeights, said: Said, step: Step) -> Ranks:
    """Measure; directions are found on one half of the speech and tried on the other."""
    step("ranks: energy")
    found = [directions(*pair) for pair in zip(weights.layers, attention_inputs(speech, weights), strict=True)]
    plain = [directions(layer, None) for layer in weights.layers]
    fitted = {tuple(fit): attention_inputs(speech, weights, fit) for fit in speech.halves}

    def encode(mean_rank: int, fit: Sequence[int], held_out: Sequence[int]) -> Encodings:
        inputs = fitted[tuple(fit)]
        of_fit = [directions(*pair) for pair in zip(weights.layers, inputs, strict=True)]
        changed = projected(weights, spread(mean_rank, of_fit), of_fit, inputs)
        return speech.encode(Encoder(changed, speech.geometry), held_out)

    costs = []
    for part, whole in _OF_WIDTH:
        mean_rank = max(weights.dim * part // whole, 1)
        step(f"ranks: mean {mean_rank}")
        encodings = in_halves(speech, partial(encode, mean_rank))
        ranks = spread(mean_rank, found)
        costs.append(_cost(mean_rank, ranks, found, speech, weights, said, encodings))
    return Ranks(
        layers=tuple(
            LayerRank(index, _ranks_by_share(white), _ranks_by_share(raw))
            for index, (white, raw) in enumerate(zip(found, plain, strict=True))
        ),
        costs=tuple(costs),
        state_bytes=_FLOAT_BYTES * 2 * len(weights.layers) * speech.geometry.left_context_length * weights.dim,
        attention_weight_bytes=4 * len(weights.layers) * weights.dim**2,
    )


def _ranks_by_share(found: Directions) -> dict[str, int]:
    return {f"{share:g}": rank_of(share, found) for share in SHARES}


def _cost(
    mean_rank: int,
    ranks: tuple[int, ...],
    found: Sequence[Directions],
    speech: Speech,
    weights: EncoderWeights,
    said: Said,
    encodings: Encodings,
) -> RankCost:
    entries = speech.geometry.left_context_length * sum(ranks)
    return RankCost(
        mean_rank=mean_rank,
        of_width=mean_rank / weights.dim,
        ranks=ranks,
        energy=float(np.mean([one.shares[:rank].sum() for one, rank in zip(found, ranks, strict=True)])),
        state_bytes=_FLOAT_BYTES * entries,
        state_int8_bytes=entries,
        attention_weight_bytes=(2 * weights.num_heads + 1) * weights.dim * sum(ranks),
        words=words(said, speech.said(speech.search(encodings))),
    )
