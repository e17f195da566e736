"""Which worker a stream comes to: the one with most room."""

from collections.abc import Iterable, Mapping

from emf.serve.failover.remote_worker import RemoteWorker, WorkerState
from emf.serve.failover.trouble import Trouble

_UNEVEN = 2
"""Streams by which two workers differ before one is moved."""
_UNEVEN_SHARE = 0.2


def choose(
    workers: Iterable[RemoteWorker],
    identity: Mapping[str, str] | None = None,
    trouble: Trouble | None = None,
    state: WorkerState = WorkerState.READY,
) -> RemoteWorker | None:
    """The worker for a stream; `None` where none can take it now.

    Args:
        workers: all there are.
        identity: what the stream's snapshot was taken with; `None` where it begins.
        trouble: what is held against the stream.
        state: of the worker.
    """
    fitting = [
        worker
        for worker in workers
        if worker.state is state
        and (identity is None or worker.identity == identity)
        and not (trouble is not None and trouble.is_suspect and worker.has_suspect)
    ]
    return max(fitting, key=lambda worker: worker.room, default=None)


def uneven(workers: Iterable[RemoteWorker]) -> tuple[RemoteWorker, RemoteWorker] | None:
    """A worker with many streams and one with few, where one should be moved; `None` where they are even."""
    ready = [worker for worker in workers if worker.state is WorkerState.READY]
    if len(ready) < 2:
        return None
    full, empty = min(ready, key=lambda one: one.room), max(ready, key=lambda one: one.room)
    difference = len(full.streams) - len(empty.streams)
    most = max(_UNEVEN, _UNEVEN_SHARE * len(full.streams))
    return (full, empty) if difference >= most and empty.room > full.room + 1 else None
