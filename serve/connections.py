"""How many connections a server keeps open, over all of its ports."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

_LOGGER = logging.getLogger(__name__)
_OTHER_FILES = 128
"""Open files that are no connections."""


@dataclass(slots=True)
class Connections:
    """Counts what is open, whoever serves it.

    Attributes:
        most: connections at once.
        refused: is told the reason of every refusal.
        counts: of what is open, one for each port.
    """

    most: int
    refused: Callable[[str], None]
    counts: list[Callable[[], int]] = field(default_factory=list)

    @property
    def open(self) -> int:
        """Connections that are open."""
        return sum(count() for count in self.counts)

    def may_stay(self) -> bool:
        """Whether the newest connection, which is counted already, is not one too many."""
        if self.open <= self.most:
            return True
        self.refused("connections")
        return False


def allow_descriptors(connections: int) -> None:
    """Let the process open files for so many connections, as far as the system allows it."""
    try:
        import resource
    except ImportError:  # a system without such limits
        return
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        _LOGGER.warning("only %d files can be open: too few for %d connections; raise the limit", most, connections)
