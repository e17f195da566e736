"""torchaudio's model with what its encoder caches rounded to whole units, as a `CacheFormat` keeps it.

Two computations that agree to the last bits but one may still round a value at the border of two to either side, and
differ by a whole unit from there on. So the model can be told what a backend kept: it goes on from that, and the check
is that everything kept is a right rounding of what PyTorch computes.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from emf.export.graphs.cache_format import CacheFormat


class Cached(NamedTuple):
    """What a layer caches of its normalised rows.

    Attributes:
        of_rows: what is cached, (..., channels), of rows (..., d).
        key_value: keys and values, (..., 2 * d), of what is cached.
        num_parts: parts of the channels that have a unit each.
    """

    of_rows: Callable[[Tensor], Tensor]
    key_value: Callable[[Tensor], Tensor]
    num_parts: int


def keys_and_values(layer: Any) -> Cached:
    """Keys and values themselves are cached."""
    return Cached(layer.attention.emb_to_key_value, lambda cached: cached, 2)


class _RoundedKeyValue(nn.Module):
    """`emb_to_key_value` of a layer, rounded for a segment's frames, which stand last among the rows."""

    def __init__(self, exact: nn.Module, cached: Cached, cache: str, frames: int) -> None:
        super().__init__()
        self.given: Tensor | None = None
        self.excess, self.num_other_side, self.num_kept = 0.0, 0, 0
        self._exact, self._cached, self._frames = exact, cached, frames
        self._format = CacheFormat(cache, cached.num_parts)

    def forward(self, rows: Tensor) -> Tensor:
        """Keys and values of rows (memory, right context, segment), of shape (rows, 1, 2 * d)."""
        exact: Tensor = self._exact(rows)
        last = self._cached.of_rows(rows[-self._frames :, 0])
        multiples, unit = self._format.in_units(last.view(len(last), self._cached.num_parts, -1))
        nearest = (self._format.kept(multiples).to(last.dtype) * unit).flatten(1)
        values = nearest if self.given is None else self.given.to(last.dtype)
        half = unit.expand_as(multiples).flatten(1) / 2
        self.excess = float(((values - last).abs() - half).max().clamp_min(0.0))
        self.num_other_side += int(((values - nearest).abs() > half).sum())
        self.num_kept += values.numel()
        return torch.cat([exact[: -self._frames], self._cached.key_value(values)[:, None]])


class RoundedModel:
    """A torchaudio `RNNT` that caches whole units; the weights are those of the original.

    Attributes:
        rnnt: the model.
    """

    def __init__(self, rnnt: Any, cache: str, frames: int, cached: Callable[[Any], Cached] = keys_and_values) -> None:
        """Take the original.

        Args:
            rnnt: the original.
            cache: name of the format.
            frames: of a segment.
            cached: what each layer caches.
        """
        self.rnnt = copy.deepcopy(rnnt, {id(tensor): tensor for tensor in (*rnnt.parameters(), *rnnt.buffers())})
        self._modules: list[_RoundedKeyValue] = []
        for layer in self.rnnt.transcriber.transformer.emformer_layers:
            exact = layer.attention.emb_to_key_value
            module = _RoundedKeyValue(exact, cached(layer), cache, frames).eval()
            self._modules.append(module)
            layer.attention.emb_to_key_value = module

    def go_on_from(self, kept: Sequence[Tensor]) -> None:
        """Take the values that a backend kept of the next segment for the roundings; see `EncoderStates.by_layer`."""
        for module, given in zip(self._modules, kept, strict=True):
            module.given = given

    @property
    def excess(self) -> float:
        """How far what the last segment kept lies beyond the nearest values that can be kept, at most."""
        return max(module.excess for module in self._modules)

    @property
    def borders(self) -> tuple[int, int]:
        """How many values a backend rounded to the other side of a border, of how many."""
        return sum(module.num_other_side for module in self._modules), sum(m.num_kept for m in self._modules)
