"""Attention of one Emformer layer over cached and new frames."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from emf.export.graphs.cache_format import CacheFormat


class StreamingAttention(nn.Module):
    """Attention over memory, cached left context, segment and right context.

    Source: `torchaudio.models.emformer._EmformerAttention.infer`. Query, key and value come from one
    projection, the scaling folded into the query's part. Emformer has no positional encoding, so
    the order of keys does not matter: cached frames stand in a ring, new ones behind them. Keys and values are in the
    units of their `CacheFormat`, and queries fit such keys.

    Attributes:
        keys: the format that keys are cached in, of shape (heads, 1, d / heads).
        values: the same of values.
        rounds: whether what is kept is not exactly what was computed.
    """

    factors: Tensor

    def __init__(self, attention: Any, cache: str, bound: Tensor) -> None:
        """Take over a layer's attention.

        Args:
            attention: torchaudio's.
            cache: name of the format that keys and values are kept in, a key of `CACHE_DTYPES`.
            bound: the greatest magnitudes of keys and values, (2 * heads, 1, d / heads).
        """
        super().__init__()
        self.num_heads = int(attention.num_heads)
        self.tanh_on_mem = bool(attention.tanh_on_mem)
        scale = float(attention.scaling)
        query, key_value = attention.emb_to_query, attention.emb_to_key_value
        dim = int(attention.input_dim)
        self.projection = nn.Linear(dim, 3 * dim)
        self.projection.weight = nn.Parameter(torch.cat([query.weight * scale, key_value.weight]))
        self.projection.bias = nn.Parameter(torch.cat([query.bias * scale, key_value.bias]))
        self.out_proj = attention.out_proj
        self.keys, self.values = (CacheFormat(cache, part) for part in torch.split(bound, self.num_heads))
        self.rounds = self.keys.dtype != torch.float32
        self.register_buffer("factors", torch.cat([self.keys.scale, self.keys.inverse, self.values.inverse]))

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of x (n, t, d) the queries, (n, heads, t, d / heads), and keys and values, (n, 2 * heads, t, d / heads)."""
        batch, length, dim = x.shape
        projected = self.projection(x.flatten(0, 1)).view(batch, length, 3 * self.num_heads, dim // self.num_heads)
        heads = projected.transpose(1, 2)
        if self.keys.scaled:
            heads = heads * self.factors
        query, key_value = heads.split([self.num_heads, 2 * self.num_heads], dim=1)
        return query, key_value

    def joined(self, cache: tuple[Tensor, ...] | None, kept: Tensor, exact: Tensor) -> tuple[Tensor, ...]:
        """Keys and values, each (n, heads, t, d / heads): those of the cache, new ones that are kept, and others."""
        olds = ([], []) if cache is None else ([cache[0]], [cache[1]])
        news, others = kept.chunk(2, dim=1), exact.chunk(2, dim=1)
        keys, values = (self.keys.joined([*olds[i], news[i]], others[i], dim=2) for i in range(2))
        return keys, values

    def parts(self, key_value: Tensor) -> tuple[Tensor, ...]:
        """Keys and values apart, as `joined` gives them."""
        return key_value.chunk(2, dim=1)

    def attend(self, query: Tensor, entries: Sequence[Tensor], bias: Tensor | None) -> Tensor:
        """Softmax over all keys, `bias` added to their scores, then the output projection; (n * t, d)."""
        key, value = entries
        scores = torch.matmul(query, key.transpose(2, 3))
        probs = torch.softmax(scores if bias is None else scores + bias, dim=3)
        context = self.values.values(torch.matmul(probs, value))
        result: Tensor = self.out_proj(context.transpose(1, 2).flatten(2).flatten(0, 1))
        return result
