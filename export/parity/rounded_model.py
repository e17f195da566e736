"""torchaudio's model with its cached keys and values rounded as a `CacheFormat` keeps them.

Two computations that agree to the last bits but one may still round a value at the border of two to either side, and
differ by a whole unit from there on. So the model can be told what a backend kept: it goes on from that, and the check
is that everything kept is a right rounding of what PyTorch computes.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from emf.export.graphs.cache_format import CacheFormat, key_value_bound


class RoundedKeyValue(nn.Module):
    """`emb_to_key_value` of a layer, its output rounded for a segment's frames, which stand last among the rows.

    Attributes:
        given: keys and values that a backend kept of the next segment, (frames, 2 * d), in units; `None` rounds here.
        excess: how far what was given lies beyond the nearest multiple of a unit, at most, in the last call.
    """

    def __init__(self, layer: Any, cache: str, frames: int) -> None:
        """Take a layer of torchaudio's, the format's name, and the frames of a segment."""
        super().__init__()
        self.given: Tensor | None = None
        self.excess = 0.0
        self._linear, self._frames = layer.attention.emb_to_key_value, frames
        self._format = CacheFormat(cache, key_value_bound(layer).flatten())

    def forward(self, rows: Tensor) -> Tensor:
        """Keys and values of rows (memory, right context, segment), of shape (rows, 1, 2 * d)."""
        exact: Tensor = self._linear(rows)
        first, last = exact[: -self._frames], exact[-self._frames :, 0]
        units = self._format.kept(self._format.units(last)).float() if self.given is None else self.given
        values = self._format.values(units)
        if self.given is not None:
            apart = (values - last).abs() - self._format.reach(last)
            self.excess = float(apart.max().clamp_min(0.0))
        return torch.cat([first, values[:, None]])


def rounded(rnnt: Any, cache: str, frames: int) -> tuple[Any, list[RoundedKeyValue]]:
    """A copy of an `RNNT` with the same weights that keeps its cache in a format, and the modules that round."""
    found = copy.deepcopy(rnnt, {id(tensor): tensor for tensor in (*rnnt.parameters(), *rnnt.buffers())})
    layers = found.transcriber.transformer.emformer_layers
    modules = [RoundedKeyValue(layer, cache, frames) for layer in layers]
    for layer, module in zip(layers, modules, strict=True):
        layer.attention.emb_to_key_value = module.eval()
    return found, modules
