"""Attention of one Emformer layer over latents of low rank: one vector of a frame instead of its keys and values."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from emf.export.graphs.cache_format import CacheFormat, Entries, Rows


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


class LatentAttention(nn.Module):
    """As `StreamingAttention`, but frames are cached as latents, which stand for the keys and the values at once.

    The way up is absorbed by its neighbours: for each head the query's projection becomes `up_key^T query`, and the
    output's `out_proj up_value`. The bias of the keys adds the same to all scores of a query, so that the softmax does
    not see it. What is left is one product in, one out, and attention of all heads over one sequence of latents.
    Source: DeepSeek-V2, arXiv 2405.04434, section 2.1 and appendix C.

    Attributes:
        cache: the format that latents are cached in.
    """

    def __init__(self, attention: Any, latent: Latent, cache: str) -> None:
        """Take over a torchaudio attention whose keys and values are those of the latent; see `StreamingAttention`."""
        super().__init__()
        self.cache = CacheFormat(cache, 1)
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

    def heads(self, x: Tensor) -> tuple[Tensor, Rows]:
        """Of x (n, t, d) the queries, (n, 1, t, heads * r), and latents, (n, 1, t, r)."""
        batch, length, _ = x.shape
        projected = self.projection(x.flatten(0, 1)).view(batch, 1, length, -1)
        latent, query = projected.split([self.rank, self.num_heads * self.rank], dim=3)
        if not self.cache.scaled:
            return query, Rows(latent, None)
        multiples, units = self.cache.in_units(latent)
        return query, Rows(multiples, units.squeeze(3))

    def attend(self, query: Tensor, entries: Entries, bias: Tensor | None) -> Tensor:
        """Softmax over all latents, `bias` added to their scores, then the output projection; (n * t, d)."""
        latent, (batch, length) = entries.parts[0].squeeze(1), query.shape[0:3:2]
        scores = torch.matmul(query.reshape(batch, length * self.num_heads, self.rank), latent.transpose(1, 2))
        scores = scores.view(batch, length, self.num_heads, -1)
        if entries.units:
            scores = scores * entries.units[0]
        if bias is not None:
            scores = scores + bias.squeeze(1).unsqueeze(2)
        probs = torch.softmax(scores, dim=3)
        if entries.units:
            probs = probs * entries.units[1]
        context = torch.matmul(probs.flatten(1, 2), latent)
        result: Tensor = self.out_proj(context.reshape(batch * length, self.num_heads * self.rank))
        return result
