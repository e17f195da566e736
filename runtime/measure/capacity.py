"""The search for the largest load within a deadline."""

from collections.abc import Callable
from typing import Protocol, TypeVar


class Trial(Protocol):
    """A load that was tried."""

    def within(self, deadline: float) -> bool:
        """Whether it met the deadline (seconds)."""


Tried = TypeVar("Tried", bound=Trial)


def find_capacity(
    run: Callable[[int], Tried], deadline: float, first: int = 1, most: int = 4096
) -> tuple[int, list[Tried]]:
    """The largest number of streams within the deadline: doubling, then bisection to one in twenty.

    Returns:
        That number (0 if not even one stream fits), and every load tried.
    """
    tried: list[Tried] = []

    def fits(streams: int) -> bool:
        tried.append(run(streams))
        return tried[-1].within(deadline)

    good, streams = 0, first
    while streams <= most and fits(streams):
        good, streams = streams, 2 * streams
    bad = min(streams, most + 1)
    while bad - good > max(1, good // 20):
        middle = (good + bad) // 2
        if fits(middle):
            good = middle
        else:
            bad = middle
    return good, tried
