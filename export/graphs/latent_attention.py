"""Attention of one Emformer layer over latents of low rank: one vector of a frame instead of its keys and values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from emf.export.graphs.cache_format import CacheFormat, layer_norm_bound


@dataclass(frozen=True)
class Latent:
    """Keys and values of a layer through r numbers: `c = down x + offset`, `[key; value] = up c + bias`.

    Attributes:
        down: (r, d).
        offset: (r,); it makes the mean of c zero on speech.
        up: (2 d, r), with orthonormal columns.
        bias: (2 d,).
    """

    down: Tensor
    offset: Tensor
    up: Tensor
    bias: Tensor

    @property
    def rank(self) -> int:
        """Numbers kept of a frame."""
        return len(self.down)

    def of_keys_and_values(self, stacked: Tensor) -> Tensor:
        """The latents, (..., r), of keys and values (..., 2 d) that were made of latents."""
        return (stacked - self.bias) @ self.up


def latent_bound(layer: Any, latent: Latent) -> Tensor:
    """The greatest magnitudes of the latents of an Emformer layer's frames, (1, 1, r)."""
    return layer_norm_bound(layer.layer_norm_input, latent.down, latent.offset).view(1, 1, -1)


class LatentAttention(nn.Module):
    """As `StreamingAttention`, but frames are cached as latents, which stand for the keys and the values at once.

    The way up is absorbed by its neighbours: for each head the query's projection becomes `up_key^T query`, and the
    output's `out_proj up_value`. The bias of the keys adds the same to all scores of a query, so that the softmax does
    not see it. What is left is one product in, one out, and attention of all heads over one sequence of latents, in the
    units of their `CacheFormat`, which queries and contexts are brought to and from on the step's own rows.
    Source: DeepSeek-V2, arXiv 2405.04434, section 2.1 and appendix C.

    Attributes:
        keys: the format that latents are cached in, of shape (1, 1, r).
        rounds: whether what is kept is not exactly what was computed.
    """

    factors: Tensor

    def __init__(self, attention: Any, latent: Latent, cache: str, bound: Tensor) -> None:
        """Take over a torchaudio attention whose keys and values are those of the latent; see `StreamingAttention`."""
        super().__init__()
        self.num_heads, self.rank = int(attention.num_heads), latent.rank
        self.tanh_on_mem = bool(attention.tanh_on_mem)
        dim = int(attention.input_dim)
        query, output = attention.emb_to_query, attention.out_proj
        key_up, value_up = latent.up.double().view(2, self.num_heads, -1, self.rank)
        heads = (query.weight.double() * attention.scaling).view(self.num_heads, -1, dim)
        bias = (query.bias.double() * attention.scaling).view(self.num_heads, -1, 1)
        absorbed = (key_up.transpose(1, 2) @ torch.cat([heads, bias], dim=2)).flatten(0, 1).float()
        self.projection = nn.Linear(dim, (1 + self.num_heads) * self.rank)
        self.projection.weight = nn.Parameter(torch.cat([latent.down, absorbed[:, :dim]]))
        self.projection.bias = nn.Parameter(torch.cat([latent.offset, absorbed[:, dim]]))
        by_head = output.weight.double().view(dim, self.num_heads, -1).transpose(0, 1)
        self.out_proj = nn.Linear(self.num_heads * self.rank, dim)
        self.out_proj.weight = nn.Parameter((by_head @ value_up).transpose(0, 1).flatten(1).float())
        folded = output.weight.double() @ latent.bias[dim:].double() + output.bias.double()
        self.out_proj.bias = nn.Parameter(folded.float())
        self.keys = CacheFormat(cache, bound)
        self.rounds = self.keys.dtype != torch.float32
        scales = self.keys.scale.repeat(1, 1, self.num_heads)
        self.register_buffer("factors", torch.cat([self.keys.inverse, scales], dim=2))

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of x (n, t, d) the queries, (n, 1, t, heads * r), and latents, (n, 1, t, r)."""
        batch, length, _ = x.shape
        projected = self.projection(x.flatten(0, 1)).view(batch, 1, length, -1)
        if self.keys.scaled:
            projected = projected * self.factors
        latent, query = projected.split([self.rank, self.num_heads * self.rank], dim=3)
        return query, latent

    def joined(self, cache: tuple[Tensor, ...] | None, kept: Tensor, exact: Tensor) -> tuple[Tensor, ...]:
        """Latents (n, 1, t, r): those of the cache, new ones that are kept, and others."""
        return (self.keys.joined([*(cache or ()), kept], exact, dim=2),)

    def parts(self, latent: Tensor) -> tuple[Tensor, ...]:
        """Latents as `joined` gives them."""
        return (latent,)

    def attend(self, query: Tensor, entries: Sequence[Tensor], bias: Tensor | None) -> Tensor:
        """Softmax over all latents, `bias` added to their scores, then the output projection; (n * t, d)."""
        latent, (batch, length) = entries[0].squeeze(1), query.shape[0:3:2]
        scores = torch.matmul(query.reshape(batch, length * self.num_heads, self.rank), latent.transpose(1, 2))
        scores = scores.view(batch, length, self.num_heads, -1)
        if bias is not None:
            scores = scores + bias.squeeze(1).unsqueeze(2)
        context = torch.matmul(torch.softmax(scores, dim=3).flatten(1, 2), latent)
        context = self.keys.values(context)
        result: Tensor = self.out_proj(context.reshape(batch * length, self.num_heads * self.rank))
        return result
