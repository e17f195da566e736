"""What a kind of worker has to offer: a way to begin one, and messages there and back.

A process of this machine is one kind (`emf.serve.workers.process`). Another needs a `Launcher` and a `Link`, and has a
`Desk` (`emf.serve.workers.desk`) take the messages where it runs. All else is the same for every kind: placing
streams, snapshots, failover.
"""

from enum import Enum
from typing import Protocol

from emf.serve.workers.messages import Frame


class Loss(Enum):
    """How a worker ended."""

    STOPPED = "stopped"  # by its server's wish
    CRASHED = "crashed"  # by itself
    KILLED = "killed"  # by somebody else, or nobody knows
    HUNG = "hung"  # it gave no sign of life


class Link(Protocol):
    """The way to one worker and back. It belongs to one event loop.

    Frames are those of `emf.serve.workers.messages`. They keep their order, and all arrive that were sent before the
    link is lost.
    """

    def send(self, frame: bytes) -> None:
        """Send without waiting. Without effect once the link is lost."""

    async def receive(self) -> Frame | None:
        """The next frame; `None` once the link is lost."""

    def sever(self) -> None:
        """Lose the link, and end the worker. Whatever it still does, nobody hears of it. Once is enough."""

    async def loss(self) -> Loss:
        """How the worker ended, once `receive` gave `None` and nobody severed the link."""


class Launcher(Protocol):
    """Begins workers of one kind. It belongs to one event loop."""

    async def launch(self, number: int) -> Link:
        """Begin a worker; its first messages tell when it is ready.

        Args:
            number: from 0; one that was lost is replaced by another of its number.

        Raises:
            Exception: it cannot be begun.
        """
