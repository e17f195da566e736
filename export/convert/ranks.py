"""How many directions each layer keeps: spread over the layers so that what is lost is least in all."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Energies = npt.NDArray[np.float64]
"""Shares of a layer's energy by direction, largest first; they add up to 1."""

FULL_VECTORS = 8
"""Ranks are multiples of this where there is room: matrices of other sizes leave vector units idle."""


def spread_ranks(energies: Sequence[Energies], mean_rank: int) -> tuple[int, ...]:
    """Ranks whose mean is at most `mean_rank`, with the greatest energy kept that such ranks can have.

    Shares fall from direction to direction, so that taking the largest that is left, of whichever layer, is best.
    """
    step = _step(mean_rank, energies)
    blocks = [np.add.reduceat(shares, range(0, len(shares), step)) for shares in energies]
    sizes = [[min(step, len(shares) - begin) for begin in range(0, len(shares), step)] for shares in energies]
    taken = [1] * len(energies)
    left = mean_rank * len(energies) - sum(size[0] for size in sizes)
    order = sorted(
        ((block, index, place) for index, row in enumerate(blocks) for place, block in enumerate(row) if place),
        key=lambda item: (-item[0], item[2], item[1]),
    )
    closed: set[int] = set()
    for _, index, place in order:
        size = sizes[index][place]
        if index in closed or size > left:
            closed.add(index)
            continue
        left -= size
        taken[index] += 1
    return tuple(sum(size[:count]) for size, count in zip(sizes, taken, strict=True))


def ranks_of_share(energies: Sequence[Energies], share: float) -> tuple[int, ...]:
    """The least ranks that keep this share of every layer's energy, rounded up to full vectors."""
    ranks = [int(np.searchsorted(np.cumsum(shares), share)) + 1 for shares in energies]
    step = FULL_VECTORS if min(map(len, energies)) >= 16 * FULL_VECTORS else 1
    return tuple(min(-(-rank // step) * step, len(shares)) for rank, shares in zip(ranks, energies, strict=True))


def _step(mean_rank: int, energies: Sequence[Energies]) -> int:
    room = mean_rank >= 4 * FULL_VECTORS and all(len(shares) % FULL_VECTORS == 0 for shares in energies)
    return FULL_VECTORS if room else 1
