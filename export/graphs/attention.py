"""Attention of one Emformer layer over cached and new frames."""

from typing import Any

import torch
from torch import Tensor, nn

from emf.export.graphs.cache_format import CacheFormat, Entries, Rows


class StreamingAttention(nn.Module):
    """Attention over memory, cached left context, segment and right context.

    Source: `torchaudio.models.emformer._EmformerAttention.infer`. Query, key and value come from one
    projection, the scaling folded into the query's part. Emformer has no positional encoding, so
    the order of keys does not matter: cached frames stand in a ring, new ones behind them.

    Attributes:
        cache: the format that keys and values are cached in.
    """

    def __init__(self, attention: Any, cache: str) -> None:
        """Take over torchaudio's attention of a layer; `cache` names a format, a key of `CACHE_DTYPES`."""
        super().__init__()
        self.cache = CacheFormat(cache, 2)
        self.num_heads = int(attention.num_heads)
        self.tanh_on_mem = bool(attention.tanh_on_mem)
        scale = float(attention.scaling)
        query, key_value = attention.emb_to_query, attention.emb_to_key_value
        dim = int(attention.input_dim)
        self.projection = nn.Linear(dim, 3 * dim)
        self.projection.weight = nn.Parameter(torch.cat([query.weight * scale, key_value.weight]))
        self.projection.bias = nn.Parameter(torch.cat([query.bias * scale, key_value.bias]))
        self.out_proj = attention.out_proj

    def heads(self, x: Tensor) -> tuple[Tensor, Rows]:
        """Of x (n, t, d) the queries, (n, heads, t, d / heads), and keys and values, (n, 2 * heads, t, d / heads)."""
        batch, length, dim = x.shape
        projected = self.projection(x.flatten(0, 1))
        if not self.cache.scaled:
            heads: Any = self._by_head(projected, batch, length)
            query, key_value = heads.split([self.num_heads, 2 * self.num_heads], dim=1)
            return query, Rows(key_value, None)
        query, key_value = torch.split(projected.view(batch, length, 3, dim), [1, 2], dim=2)
        multiples, units = self.cache.in_units(key_value)
        key_value = self._by_head(multiples, batch, length)
        return self._by_head(query, batch, length), Rows(key_value, units.squeeze(3).transpose(1, 2))

    def _by_head(self, projected: Tensor, batch: int, length: int) -> Tensor:
        """Rows as (n, heads, t, d / heads)."""
        dim = self.out_proj.in_features // self.num_heads
        return projected.reshape(batch, length, -1, dim).transpose(1, 2)

    def attend(self, query: Tensor, entries: Entries, bias: Tensor | None) -> Tensor:
        """Softmax over all keys, `bias` added to their scores, then the output projection; (n * t, d)."""
        key, value = entries.parts
        scores = torch.matmul(query, key.transpose(2, 3))
        if entries.units:
            scores = scores * entries.units[0]
        probs = torch.softmax(scores if bias is None else scores + bias, dim=3)
        if entries.units:
            probs = probs * entries.units[1]
        context = torch.matmul(probs, value)
        result: Tensor = self.out_proj(context.transpose(1, 2).flatten(2).flatten(0, 1))
        return result
