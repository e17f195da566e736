"""Latents that stand for keys and values, found on speech.

`[W_K; W_V] S = U Sigma V^T` with S a root of the inputs' covariance; the first r columns of U span what the keys and
values of real frames mostly are. With `down = U_r^T [W_K; W_V]` and `up = U_r`, the error on such frames is the least
that rank r allows; a plain decomposition of the weights loses several times as much.
Source: SVD-LLM, arXiv 2403.07378, for the whitening; CARE, arXiv 2603.17946, for keys and values together and ranks by
layer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emf.export.convert.ranks import Energies
from emf.export.convert.statistics import Moments
from emf.export.graphs.latent_attention import Latent

_RIDGE = 1e-6
"""Of the mean variance, added to all: directions that speech does not show are still told apart by the weights."""


@dataclass(frozen=True)
class Directions:
    """Directions of a layer's keys and values, by energy.

    Attributes:
        basis: (2 d, d), orthonormal columns.
        energies: share of each.
        mean: of the inputs, (d,).
    """

    basis: Tensor
    energies: Energies
    mean: Tensor


def directions(attention: Any, moments: Moments) -> Directions:
    """The directions of a torchaudio attention's keys and values on speech with these moments."""
    covariance = moments.covariance
    ridge = _RIDGE * covariance.diagonal().mean()
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * (values.clamp_min(0.0) + ridge).sqrt()
    basis, sizes, _ = torch.linalg.svd(attention.emb_to_key_value.weight.double() @ root, full_matrices=False)
    energies: Energies = np.asarray((sizes**2 / (sizes**2).sum()).numpy(), np.float64)
    return Directions(basis, energies, moments.mean)


def latent_of(attention: Any, found: Directions, rank: int) -> Latent:
    """The latent of a rank for a torchaudio attention."""
    weight, bias = attention.emb_to_key_value.weight.double(), attention.emb_to_key_value.bias.double()
    up = found.basis[:, :rank]
    down = up.T @ weight
    parts = (down, -down @ found.mean, up, bias + weight @ found.mean)
    return Latent(*(part.float().contiguous() for part in parts))


def expanded(latent: Latent) -> nn.Linear:
    """The projection to keys and values that the latent amounts to, for torchaudio's own attention."""
    linear = nn.Linear(latent.down.shape[1], len(latent.up))
    up = latent.up.double()
    linear.weight = nn.Parameter((up @ latent.down.double()).float(), requires_grad=False)
    linear.bias = nn.Parameter((up @ latent.offset.double() + latent.bias.double()).float(), requires_grad=False)
    return linear
