"""torchaudio's model with its cached keys and values rounded to whole units, as a `CacheFormat` keeps them.

Two computations that agree to the last bits but one may still round a value at the border of two to either side, and
differ by a whole unit from there on. So the model can be told what a backend kept: it goes on from that, and the check
is that everything kept is a right rounding of what PyTorch computes.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from emf.export.graphs.cache_format import CacheFormat, key_value_bound
from emf.runtime.arrays import Array


class _RoundedKeyValue(nn.Module):
    """`emb_to_key_value` of a layer, its output rounded for a segment's frames, which stand last among the rows."""

    def __init__(self, layer: Any, cache: str, frames: int) -> None:
        super().__init__()
        self.given: Tensor | None = None
        self.excess, self.num_other_side, self.num_kept = 0.0, 0, 0
        self._linear, self._frames = layer.attention.emb_to_key_value, frames
        self._format = CacheFormat(cache, key_value_bound(layer).flatten())

    def forward(self, rows: Tensor) -> Tensor:
        """Keys and values of rows (memory, right context, segment), of shape (rows, 1, 2 * d)."""
        exact: Tensor = self._linear(rows)
        first, last = exact[: -self._frames], exact[-self._frames :, 0]
        nearest = self._format.kept(self._format.units(last)).to(last.dtype)
        units = nearest if self.given is None else self.given.to(last.dtype)
        values = self._format.values(units)
        apart = (values - last).abs() - self._format.scale / 2
        self.excess = float(apart.max().clamp_min(0.0))
        self.num_other_side += int((units != nearest).sum())
        self.num_kept += units.numel()
        return torch.cat([first, values[:, None]])


class RoundedModel:
    """A torchaudio `RNNT` that keeps its cache in a format; the weights are those of the original.

    Attributes:
        rnnt: the model.
    """

    def __init__(self, rnnt: Any, cache: str, frames: int) -> None:
        """Take the original, the format's name, and the frames of a segment."""
        self.rnnt = copy.deepcopy(rnnt, {id(tensor): tensor for tensor in (*rnnt.parameters(), *rnnt.buffers())})
        layers = self.rnnt.transcriber.transformer.emformer_layers
        self._modules = [_RoundedKeyValue(layer, cache, frames).eval() for layer in layers]
        for layer, module in zip(layers, self._modules, strict=True):
            layer.attention.emb_to_key_value = module

    def go_on_from(self, kept: Array) -> None:
        """Take what a backend kept of the next segment, `new_attention_cache` of `EncoderStates`, for its roundings."""
        layers = torch.from_numpy(kept)[0].chunk(len(self._modules))
        for module, layer in zip(self._modules, layers, strict=True):
            module.given = layer.permute(1, 0, 2).flatten(1)

    @property
    def excess(self) -> float:
        """How far what the last segment kept lies beyond the nearest values that can be kept, at most."""
        return max(module.excess for module in self._modules)

    @property
    def borders(self) -> tuple[int, int]:
        """How many values a backend rounded to the other side of a border, of how many."""
        return sum(module.num_other_side for module in self._modules), sum(m.num_kept for m in self._modules)
