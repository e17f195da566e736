"""A worker process as the process that started it sees it."""

import contextlib
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from os import getpid

from emf.runtime.corpus.job import Item, Job
from emf.runtime.corpus.messages import Setup

_END_SECONDS = 5.0
_STANDARD_ERROR = 2


class ProcessHandle:
    """A process, and the recordings that it was given and has not done.

    `multiprocessing` would import the calling program's main module into it; a plain process needs no guard there.

    Attributes:
        connection: to the process.
        outstanding: recordings, by their number.
        is_ready: it has opened the model.
        is_trying: the one recording was given to it alone.
    """

    def __init__(self, job: Job, processors: tuple[int, ...]) -> None:
        """Start a process that keeps to these processors."""
        self.processors = processors
        self.outstanding: dict[int, Item] = {}
        self.is_ready = self.is_trying = False
        here, there = socket.socketpair()
        with there:
            command = [sys.executable, "-m", "emf.runtime.corpus.process_worker", str(there.fileno()), str(getpid())]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=_STANDARD_ERROR,
                pass_fds=[there.fileno()],
                process_group=0,  # a terminal sends Ctrl-C to the group in front
            )
        self.connection: Connection[object, object] = Connection(here.detach())
        self.connection.send(Setup(job, processors))

    def give(self, item: Item) -> None:
        """Send a recording; a process that has died is noticed when its answer is read."""
        self.outstanding[item.number] = item
        with contextlib.suppress(OSError):
            self.connection.send(item)

    def close(self) -> None:
        """Tell the process that nothing more comes."""
        self.connection.close()

    def end(self, patience: float = _END_SECONDS) -> int:
        """End the process, by force if it takes longer than so many seconds; its status, negative for a signal."""
        self.close()
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
