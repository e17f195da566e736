"""A worker process: it takes recordings from the process that started it, and sends back what came of them."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from emf.runtime.corpus.job import Item, Job
from emf.runtime.corpus.messages import Ready, Refused, Setup
from emf.runtime.errors import EmfError
from emf.runtime.speech.transcription import Blocks

_LOOK_SECONDS = 1.0


def serve(connection: "Connection[object, object]") -> None:
    """Work until the connection ends."""
    setup = connection.recv()
    assert isinstance(setup, Setup)
    if setup.processors and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, setup.processors)
    try:
        recognizer = setup.job.open()
    except EmfError as error:
        connection.send(Refused(error))
        return
    connection.send(Ready())
    inbox = _Inbox(connection, setup.job)
    for outcome in setup.job.transcribe(recognizer, inbox.recordings()):
        inbox.at_hand -= 1
        connection.send(outcome)


class _Inbox:
    """The recordings that come, waited for only while there is nothing to do."""

    def __init__(self, connection: "Connection[object, object]", job: Job) -> None:
        self._connection, self._job = connection, job
        self.at_hand = 0

    def recordings(self) -> Iterator[tuple[Item, Blocks] | None]:
        while True:
            if self.at_hand and not self._connection.poll():
                yield None
                continue
            try:
                item = self._connection.recv()
            except EOFError:
                return
            assert isinstance(item, Item)
            self.at_hand += 1
            yield item, self._job.read(item.path)


def _end_with(parent: int) -> None:
    """End this process once its parent is gone, whatever it does meanwhile."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one answers Ctrl-C
    threading.Thread(target=_end_with, args=(int(sys.argv[2]),), daemon=True).start()
    try:
        serve(Connection(int(sys.argv[1])))
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(1)
