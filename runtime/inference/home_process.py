"""Threads belong to one process: what they serve cannot be used in a process that was forked from it."""

import os
from dataclasses import dataclass, field

from emf.runtime.errors import UsageError


@dataclass(frozen=True, slots=True)
class HomeProcess:
    """The process that started threads. A fork copies everything but them, and would wait for them for ever.

    Attributes:
        pid: number of the process.
    """

    pid: int = field(default_factory=os.getpid)

    @property
    def is_here(self) -> bool:
        """Whether this is that process."""
        return os.getpid() == self.pid

    def check(self, what: str) -> None:
        """Refuse to go on in a forked process.

        Raises:
            UsageError: this is another process.
        """
        if not self.is_here:
            raise UsageError(
                f"expected {what} to be used in the process that made it, {self.pid}, found its fork {os.getpid()}, "
                "which lacks its threads; make it after the fork, or start processes with spawn"
            )
