"""The format in which a layer's cached values are kept between steps: float32, float16, or int8 with scales.

Whatever is cached, keys and values or another function of a layer's normalised input, int8 holds it in whole units. The
unit of a frame's keys is 1/127 of the largest magnitude among them, that of its values or of its latent likewise. So
nothing is clipped, and nothing has to be known beforehand. The units are kept beside the cache.

Attention never turns units back into values: it multiplies the scores of keys in units by the unit of each frame's
keys, and the weights of values in units by the unit of each frame's values. Both have a number for each query and
frame, far fewer than the cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

CACHE_DTYPES = {"float32": torch.float32, "float16": torch.float16, "int8": torch.int8}
"""Element type of what is kept, by the name of the format."""

_MOST_UNITS = 127
_SMALLEST_UNIT = 1e-20


class Rows(NamedTuple):
    """What rows of a pass have to cache.

    Attributes:
        multiples: of units, (n, parts * heads, t, channels); a part are the keys, the values, or the latents.
        units: (n, parts, t); `None` where they are one.
    """

    multiples: Tensor
    units: Tensor | None

    def between(self, begin: int, end: int | None) -> "Rows":
        """Those from `begin` up to `end`."""
        return Rows(self.multiples[:, :, begin:end], None if self.units is None else self.units[:, :, begin:end])


class CachedFrames(NamedTuple):
    """What a layer kept of earlier frames.

    Attributes:
        parts: multiples of units: keys and values, or latents, each (n, heads, t, channels).
        units: (n, parts, t); `None` where they are one.
    """

    parts: tuple[Tensor, ...]
    units: Tensor | None = None


class Entries(NamedTuple):
    """What a layer attends to.

    Attributes:
        parts: as of `CachedFrames`, in floating point.
        units: factors of the scores and factors of the weights, each (n, 1, 1, t); empty where they are one.
    """

    parts: tuple[Tensor, ...]
    units: tuple[Tensor, ...]

    def followed_by(self, others: "Entries") -> "Entries":
        """These, then others."""
        parts = (torch.cat(pair, dim=2) for pair in zip(self.parts, others.parts, strict=True))
        units = (torch.cat(pair, dim=3) for pair in zip(self.units, others.units, strict=True))
        return Entries(tuple(parts), tuple(units))


@dataclass(frozen=True)
class CacheFormat:
    """How a layer's cached channels are kept.

    Attributes:
        name: a key of `CACHE_DTYPES`.
        num_parts: 2 for keys and values, 1 for latents.
    """

    name: str
    num_parts: int

    @property
    def dtype(self) -> torch.dtype:
        """Element type of what is kept."""
        return CACHE_DTYPES[self.name]

    @property
    def scaled(self) -> bool:
        """Whether what is kept are whole numbers of units; else units are one."""
        return not self.dtype.is_floating_point

    @property
    def rounds(self) -> bool:
        """Whether what is kept is not exactly what was computed."""
        return self.dtype != torch.float32

    def in_units(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Values (..., channels) as multiples of a unit, not rounded, and the unit, (..., 1)."""
        unit = (values.abs().amax(dim=-1, keepdim=True) / _MOST_UNITS).clamp_min(_SMALLEST_UNIT)
        return values / unit, unit

    def kept(self, multiples: Tensor) -> Tensor:
        """Multiples of units as they are kept."""
        if self.scaled:
            multiples = multiples.round()
        return multiples if multiples.dtype == self.dtype else multiples.to(self.dtype)

    def entries(self, cached: CachedFrames | None, kept: Tensor, made: Rows) -> Entries:
        """What is attended to: cached frames, new ones as they are kept, and the rows of `made` behind these."""
        olds = () if cached is None else cached.parts
        news, others = kept.chunk(self.num_parts, dim=1), made.multiples[:, :, kept.shape[2] :].chunk(self.num_parts, 1)
        parts = (self._joined([*olds[i : i + 1], new], others[i]) for i, new in enumerate(news))
        units = made.units
        if units is not None and cached is not None and cached.units is not None:
            units = torch.cat([cached.units, units], dim=2)
        return Entries(tuple(parts), self._factors(units))

    def exact_entries(self, made: Rows) -> Entries:
        """Rows to attend to as they were computed."""
        return Entries(made.multiples.chunk(self.num_parts, dim=1), self._factors(made.units))

    def _joined(self, kept: Sequence[Tensor], exact: Tensor) -> Tensor:
        """What is kept and then what is not: joined as kept, converted once.

        OpenVINO leaves out a conversion to float16 and back, so that only there new entries are not rounded before they
        come from the cache.
        """
        if self.rounds:
            kept = [torch.cat(list(kept), dim=2).to(exact.dtype)]
        return torch.cat([*kept, exact] if exact.shape[2] else list(kept), dim=2)

    def _factors(self, units: Tensor | None) -> tuple[Tensor, ...]:
        """Of scores and of weights: latents stand for keys and values."""
        if units is None:
            return ()
        parts = units.unsqueeze(2).chunk(self.num_parts, dim=1)
        return parts[0], parts[-1]
