"""Attention of one Emformer layer over cached and new frames."""

from typing import Any

import torch
from torch import Tensor, nn


class StreamingAttention(nn.Module):
    """Attention over memory, cached left context, segment and right context.

    Source: `torchaudio.models.emformer._EmformerAttention.infer`. Query, key and value come from one
    projection, the scaling folded into the query's part. Emformer has no positional encoding, so
    the order of keys does not matter: cached frames stand in a ring, new ones behind them.
    """

    def __init__(self, attention: Any) -> None:
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

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of x (n, t, d), each of shape (n, heads, t, d / heads)."""
        batch, length, dim = x.shape
        projected = self.projection(x.flatten(0, 1)).view(batch, length, 3 * self.num_heads, dim // self.num_heads)
        query, key, value = projected.transpose(1, 2).split(self.num_heads, dim=1)
        return query, key, value

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """Softmax over all keys, `bias` added to their scores, then the output projection; (n * t, d)."""
        scores = torch.matmul(query, key.transpose(2, 3))
        probs = torch.softmax(scores if bias is None else scores + bias, dim=3)
        context = torch.matmul(probs, value)
        result: Tensor = self.out_proj(context.transpose(1, 2).flatten(2).flatten(0, 1))
        return result
