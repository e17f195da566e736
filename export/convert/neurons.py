"""Which neurons of a feed-forward network can go, and how the others make up for them.

Neurons leave by the error that the output is left with once all others have taken over what they can (optimal brain
surgeon): `|w_j|^2 / [C^-1]_jj` with C the covariance of the hidden activations on speech. What remains gets new output
weights and a new bias by least squares.
Source: Hassibi and Stork, "Second order derivatives for network pruning", 1992; ZipLM, arXiv 2302.04089, for whole
neurons.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from emf.export.convert.statistics import Moments

DAMPING = 1e-3
"""Of the mean variance: how much the new output weights are kept close to the old ones."""
_ROUNDS = 32
"""Neurons leave in about so many rounds: one by one, the base model would take many minutes."""


@dataclass(frozen=True)
class Selection:
    """The neurons that stay.

    Attributes:
        kept: their indices, ascending.
        weight: of the output, (d, kept).
        bias: of the output, (d,).
        error: energy of what the output lost over that of the output's variation, on the speech seen.
    """

    kept: Tensor
    weight: Tensor
    bias: Tensor
    error: float


def select_neurons(weight: Tensor, bias: Tensor, moments: Moments, count: int) -> Selection:
    """Keep `count` neurons of an output layer of weights (d, neurons) and a bias (d,)."""
    plain = moments.covariance
    damped = plain + DAMPING * plain.diagonal().mean().clamp_min(1e-12) * torch.eye(len(plain), dtype=torch.float64)
    kept = _most_useful(weight.double(), damped, count)
    old = weight.double()
    new = torch.linalg.solve(damped[kept][:, kept], damped[kept] @ old.T).T
    gone = old.clone()
    gone[:, kept] -= new
    offset = bias.double() + gone @ moments.mean
    energy = ((old @ plain) * old).sum()
    error = float(((gone @ plain) * gone).sum() / energy.clamp_min(1e-30))
    return Selection(kept, new.float(), offset.float(), error)


def _most_useful(weight: Tensor, covariance: Tensor, count: int) -> Tensor:
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
    left, weight = torch.arange(len(covariance)), weight.clone()
    block = -(-(len(left) - count) // _ROUNDS)
    while len(left) > count:
        cost = (weight**2).sum(dim=0) / inverse.diagonal()
        leaving = cost.argsort()[: min(block, len(left) - count)]
        shares = torch.linalg.solve(inverse[leaving][:, leaving], inverse[leaving])
        weight -= weight[:, leaving] @ shares
        inverse -= inverse[:, leaving] @ shares
        stay = torch.ones(len(left), dtype=torch.bool)
        stay[leaving] = False
        left, weight, inverse = left[stay], weight[:, stay], inverse[stay][:, stay]
    return left
