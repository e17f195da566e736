"""Batches of any size as blocks of few sizes, for backends that are prepared for one size at a time."""

from functools import cache

import numpy as np
import numpy.typing as npt

from emf.runtime.arrays import Array

_OVERHEAD = 3
"""A block costs as much as its rows and this many times the smallest size: reading the weights, starting operators."""


def block_sizes(rows: int, most: int) -> tuple[int, ...]:
    """Sizes to be prepared for: `rows`, no more than `most`, doubled up to `most`."""
    sizes = [min(rows, most)]
    while 2 * sizes[-1] <= most:
        sizes.append(2 * sizes[-1])
    return tuple(sizes)


@cache
def cut(num_rows: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The cheapest blocks for `num_rows` rows, largest first, the last one perhaps larger than what is left for it.

    Args:
        num_rows: at least 1.
        sizes: those there are, ascending.
    """
    whole = max(0, num_rows // sizes[-1] - 1)
    best: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    for rows in range(1, num_rows - whole * sizes[-1] + 1):
        options = ((size, best[max(0, rows - size)]) for size in sizes)
        best.append(min((size + _OVERHEAD * sizes[0] + cost, (size, *others)) for size, (cost, others) in options))
    return tuple(sorted((sizes[-1],) * whole + best[-1][1], reverse=True))


def batch_rows(array: Array, axis: int, begin: int, end: int) -> Array:
    """A view of the rows [begin, end) of a batch that lies on an axis."""
    return array[(slice(None),) * axis + (slice(begin, end),)]


def padded(array: npt.NDArray[np.generic], num_rows: int) -> Array:
    """The array with zeros below, up to `num_rows` rows."""
    missing = num_rows - len(array)
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)]) if missing else array
