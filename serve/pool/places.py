"""Which connections may have their audio decoded now: as many as the pool carries."""

from collections.abc import Callable

from emf.runtime.errors import Overloaded


class Places:
    """Counts the streams promised to connections, whether they hold one of the pool's yet or not.

    A connection is promised its streams when it is admitted. After a silence it gives them back.
    """

    def __init__(self, capacity: Callable[[], int]) -> None:
        self._capacity = capacity
        self.taken = 0

    def take(self, count: int = 1) -> "Place":
        """Promise `count` streams.

        Raises:
            Overloaded: the pool does not carry so many beside the others.
        """
        capacity = self._capacity()
        if self.taken + count > capacity:
            raise Overloaded(f"expected at most {capacity} streams at once, found one more; try again later")
        self.taken += count
        return Place(self, count)


class Place:
    """The promise of some streams, until it is given back."""

    def __init__(self, places: Places, count: int) -> None:
        self._places = places
        self.count = count

    def give_back(self) -> None:
        """End the promise; once is enough."""
        self._places.taken -= self.count
        self.count = 0

    def more(self, count: int) -> None:
        """Promise more streams; see `Places.take`."""
        self.count += self._places.take(count).count
