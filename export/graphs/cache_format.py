"""The format in which a layer's cached values are kept between steps: float32, float16, or int8 that cannot clip.

Whatever is cached, keys and values or another function of a layer's normalised input, is cached in units of a scale
for each channel: int8 holds the nearest whole number of units, floating point takes units of one. A query times the
scale meets keys in units; what attention makes of values in units, times the scale, is what it makes of the values.

The scales stay products of their own on a step's few rows. Folded into the projections they would be exact in float32,
and spoil INT8: rows of one weight would then differ in size by the square of a scale.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

CACHE_DTYPES = {"float32": torch.float32, "float16": torch.float16, "int8": torch.int8}
"""Element type of what is kept, by the name of the format."""

_MOST_UNITS = 127
_SMALLEST_BOUND = 1e-20


def layer_norm_bound(norm: nn.LayerNorm, weight: Tensor, bias: Tensor) -> Tensor:
    """The greatest magnitude that each row of `weight @ norm(x) + bias` reaches for any x, (rows,).

    Without gain and offset, a normalised x has a mean of zero and a length of at most the root of its dimension. So a
    row of weights, times the gain, cannot give more than its own length about its mean, times that root.

    Args:
        norm: with gain and offset.
        weight: (rows, dim).
        bias: (rows,).
    """
    rows, offset = weight.double(), bias.double()
    gained = rows * norm.weight.double()
    spread = (gained - gained.mean(dim=1, keepdim=True)).norm(dim=1) * rows.shape[1] ** 0.5
    bound: Tensor = spread + (rows @ norm.bias.double() + offset).abs()
    return bound


def key_value_bound(layer: Any) -> Tensor:
    """The greatest magnitudes of the keys and values of an Emformer layer's frames, (2 * heads, 1, d / heads)."""
    attention = layer.attention
    weight, bias = attention.emb_to_key_value.weight, attention.emb_to_key_value.bias
    bound = layer_norm_bound(layer.layer_norm_input, weight, bias)
    return bound.view(2 * int(attention.num_heads), 1, -1)


class CacheFormat(nn.Module):
    """How one layer's cached channels are kept. Methods take what `bound` multiplies.

    Attributes:
        dtype: element type of what is kept.
        scaled: whether what is kept are whole numbers of units; else units are one.
        scale: of each channel, the shape of `bound`, where `scaled`.
    """

    scale: Tensor
    inverse: Tensor

    def __init__(self, name: str, bound: Tensor) -> None:
        """Take the format's name, a key of `CACHE_DTYPES`, and the greatest magnitude of each channel.

        `bound` has the shape (heads, 1, channels), or any other that multiplies what is cached.
        """
        super().__init__()
        self.dtype = CACHE_DTYPES[name]
        self.scaled = not self.dtype.is_floating_point
        scale = bound.double().clamp_min(_SMALLEST_BOUND) / _MOST_UNITS
        self.register_buffer("scale", scale.float())
        self.register_buffer("inverse", (1.0 / scale).float())

    def units(self, values: Tensor) -> Tensor:
        """Values as multiples of the scale, not rounded."""
        return values * self.inverse if self.scaled else values

    def kept(self, units: Tensor) -> Tensor:
        """Units as they are kept.

        Nothing is out of bounds in float32; the arithmetic of a quantized graph may stray a little beyond.
        """
        if self.scaled:
            units = units.round().clamp(-_MOST_UNITS, _MOST_UNITS)
        return units if units.dtype == self.dtype else units.to(self.dtype)

    def joined(self, kept: Sequence[Tensor], exact: Tensor, dim: int) -> Tensor:
        """What is kept and then what is not, along an axis, in units: joined as kept, converted once.

        OpenVINO leaves out a conversion to float16 and back, so that only there new entries are not rounded before they
        come from the cache.
        """
        if self.dtype != torch.float32:
            kept = [torch.cat(list(kept), dim=dim).to(exact.dtype)]
        return torch.cat([*kept, exact] if exact.shape[dim] else list(kept), dim=dim)

    def values(self, units: Tensor) -> Tensor:
        """The values of units; also what turns a query so that it fits keys in units."""
        return units * self.scale if self.scaled else units
