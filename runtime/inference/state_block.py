"""A block of memory for the rings of several streams, from which a graph reads the rows that it is told."""

import heapq
from collections import deque

from emf.runtime.arrays import Array, Arrays


class StateBlock:
    """Rows for the rings of some streams. It lives as long as one of them lies here.

    Attributes:
        arrays: by name of the ring, the rows on axis 0.
        returned: rows given back since one was last taken.
        touched: rows whose memory was ever used.
    """

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.returned: deque[int] = deque()
        self.touched = 0
        self._free = list(range(min(map(len, arrays.values()))))  # a heap: low rows first, whose memory is in use

    @property
    def num_free(self) -> int:
        """Rows in which no stream lies."""
        return len(self._free) + len(self.returned)

    @property
    def num_used(self) -> int:
        """Rows in which streams lie."""
        return min(map(len, self.arrays.values())) - self.num_free

    @property
    def is_sparse(self) -> bool:
        """Whether half of the memory that was ever used, or more, lies idle."""
        return 2 * self.num_used <= self.touched

    def take(self) -> "Row":
        """A free row; there must be one. Callers take turns."""
        while self.returned:
            heapq.heappush(self._free, self.returned.popleft())
        index = heapq.heappop(self._free)
        self.touched = max(self.touched, index + 1)
        return Row(self, index)


class Row:
    """A row of a block. It is free for another stream when nothing refers to this object any more."""

    __slots__ = ("block", "index")

    def __init__(self, block: StateBlock, index: int) -> None:
        self.block, self.index = block, index

    @property
    def arrays(self) -> dict[str, Array]:
        """The rings in this row by name, each with a batch of 1."""
        return {name: array[self.index : self.index + 1] for name, array in self.block.arrays.items()}

    def __del__(self) -> None:
        self.block.returned.append(self.index)  # takes no lock: the garbage collector may call this anywhere

    def __deepcopy__(self, memo: object) -> None:
        """A copy of a stream's state has memory of its own."""
