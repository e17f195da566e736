"""A corpus transcribed by processes of this machine, each with processors of its own."""

import itertools
import os
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from multiprocessing.connection import wait

from emf.runtime.corpus.job import Item, Job, Outcome
from emf.runtime.corpus.messages import Ready, Refused
from emf.runtime.corpus.process_handle import ProcessHandle
from emf.runtime.errors import EmfError
from emf.runtime.inference.threads import available_processors

_AHEAD = 2
"""Recordings that a process has beyond those it decodes."""


def transcribe_in_processes(
    job: Job, items: Sequence[Item], num_processes: int
) -> Generator[Sequence[Outcome], None, None]:
    """Transcribe the items in processes that take the next one whenever they have room.

    A process that dies is replaced. The recordings that it had are tried again one at a time, and one with which a
    process dies again is given up.

    Raises:
        EmfError: a process cannot open the model.
    """
    num_processes = min(num_processes, len(items))
    pool = _Pool(job, items, share_processors(num_processes))
    try:
        yield from pool.run()
    finally:
        pool.end()


def share_processors(num_processes: int) -> list[tuple[int, ...]]:
    """The processors that this process may use, dealt out in runs of neighbours; empty where there are too few."""
    mine = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(mine) < num_processes:
        return [()] * num_processes
    bounds = [len(mine) * place // num_processes for place in range(num_processes + 1)]
    return [tuple(mine[low:high]) for low, high in itertools.pairwise(bounds)]


class _Pool:
    def __init__(self, job: Job, items: Iterable[Item], shares: Sequence[tuple[int, ...]]) -> None:
        threads = max(1, available_processors() // len(shares))
        self._job = job if job.decoding.options.num_threads else job.with_threads(threads)
        self._waiting = deque(items)
        self._suspects: deque[Item] = deque()
        self._handles: list[ProcessHandle] = []
        for share in shares:
            self._handles.append(ProcessHandle(self._job, share))

    def run(self) -> Generator[Sequence[Outcome], None, None]:
        while self._deal():
            busy = {handle.connection: handle for handle in self._handles if handle.outstanding}
            for connection in wait(list(busy)):
                handle = busy[connection]  # type: ignore[index]  # a Connection is what went in
                try:
                    message = handle.connection.recv()
                except (EOFError, OSError):
                    yield self._replace(handle)
                    continue
                match message:
                    case Outcome():
                        del handle.outstanding[message.number]
                        handle.is_trying = False
                        yield (message,)
                    case Ready():
                        handle.is_ready = True
                    case Refused(error):
                        raise error

    def end(self) -> None:
        for handle in self._handles:
            handle.close()
        for handle in self._handles:
            handle.end(0.0) if handle.outstanding else handle.end()

    def _deal(self) -> bool:
        """Give recordings to whoever has room, in turns; whether any are with anybody."""
        idle = [handle for handle in self._handles if not handle.outstanding]
        for handle in idle[: len(self._suspects)]:
            handle.give(self._suspects.popleft())
            handle.is_trying = True
        taking = [handle for handle in self._handles if not handle.is_trying]
        while self._waiting and taking:
            most = self._most
            taking = [handle for handle in taking if len(handle.outstanding) < most]
            for handle in taking[: len(self._waiting)]:
                handle.give(self._waiting.popleft())
        return any(handle.outstanding for handle in self._handles)

    @property
    def _most(self) -> int:
        """Recordings that a process may have: as many as it decodes and a few, near the end no more than its share."""
        left = len(self._waiting) + sum(len(handle.outstanding) for handle in self._handles)
        return min(self._job.width + _AHEAD, -(-left // len(self._handles)))

    def _replace(self, handle: ProcessHandle) -> Sequence[Outcome]:
        """Start another process in the place of one that has died; what came of a recording that killed two."""
        given = list(handle.outstanding.values())
        status = handle.end()
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        if not handle.is_ready:
            raise EmfError(f"a worker process ended {how} before it had opened the model; is memory short?")
        self._handles[self._handles.index(handle)] = ProcessHandle(self._job, handle.processors)
        if handle.is_trying:
            return [
                Outcome.failed(item, f"{item.path}: the process that decoded it ended {how}, twice") for item in given
            ]
        self._suspects.extend(given)
        return ()
