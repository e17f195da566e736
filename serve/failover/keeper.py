"""Keeps a place for a worker occupied: a worker that is lost is replaced, sooner where it lived long."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from emf.serve.failover.remote_worker import RemoteWorker, WorkerState, until_ready
from emf.serve.pool.pool_observer import PoolObserver
from emf.serve.workers.link import Launcher, Loss

_LOGGER = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_LONGEST_PAUSE_AFTER_LIFE = 1.0
_LONG_LIFE = 5.0
"""Seconds, after which a worker's end says nothing about the next one's."""
_GRACE = 15.0
"""Seconds for which a worker that is being replaced still counts."""
_FIRST_SILENCE, _START_SILENCES, _LEAST_SILENCE = 60.0, 2.0, 10.0
"""A worker that opens its model is busier than one that decodes: it is given up later, most of all the first one."""


class Keeper:
    """One place.

    Attributes:
        worker: that takes streams; `None` while it is being replaced.
        retiring: workers that were here before, and still have streams.
    """

    def __init__(
        self,
        number: int,
        launcher: Launcher,
        silence: float,
        on_lost: Callable[[RemoteWorker, Loss], None],
        observer: PoolObserver,
    ) -> None:
        """Begin without a worker; see `RemoteWorker` for `silence`."""
        self._number, self._launcher, self._silence = number, launcher, silence
        self._on_lost, self._observer = on_lost, observer
        self.worker: RemoteWorker | None = None
        self.retiring: list[RemoteWorker] = []
        self._capacity, self._lost_at = 0, 0.0
        self._pause = _FIRST_PAUSE
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = self._is_given_up = False

    @property
    def capacity(self) -> int:
        """Streams that are carried here, or soon will be again."""
        if self.worker is not None:
            return self.worker.metrics.capacity
        if self._is_given_up:
            return 0
        return self._capacity if time.monotonic() - self._lost_at < _GRACE else 0

    async def occupy(self) -> None:
        """Begin a worker and wait until it is ready. One that was here before retires.

        Raises:
            EmfError: why it cannot serve.
            Exception: it cannot be begun.
        """
        begin = time.monotonic()
        link = await self._launcher.launch(self._number)
        try:
            least = _FIRST_SILENCE if not self._lost_at else _LEAST_SILENCE
            facts = await until_ready(link, max(_START_SILENCES * self._silence, least))
        except BaseException:
            link.sever()
            raise
        self._observer.worker_ready(time.monotonic() - begin)
        worker = RemoteWorker(self._number, link, facts, self._silence)
        self._retire()
        self.worker = worker
        if self._is_given_up:
            self._retire()
        self._begin(self._tend(worker))

    def give_up(self) -> None:
        """Begin no more workers here. The one that is here retires."""
        self._is_given_up = True
        self._retire()

    def _retire(self) -> None:
        before, self.worker = self.worker, None
        if before is not None:
            before.state = WorkerState.RETIRING
            self.retiring.append(before)

    def close(self) -> None:
        """End all workers of this place."""
        self._is_closed = True
        for worker in (self.worker, *self.retiring):
            if worker is not None:
                worker.sever(Loss.STOPPED)
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tend(self, worker: RemoteWorker) -> None:
        """Let a worker live, then replace it."""
        loss = await worker.run()
        if worker in self.retiring:
            self.retiring.remove(worker)
        is_replaced = worker is self.worker
        if is_replaced:
            self.worker, self._lost_at = None, time.monotonic()
            self._capacity = worker.metrics.capacity
        if self._is_closed:
            return
        if loss is not Loss.STOPPED or worker.streams:
            _LOGGER.warning("worker %d was lost (%s) with %d streams", self._number, loss.value, len(worker.streams))
            self._observer.worker_lost(loss.value)
        try:
            self._on_lost(worker, loss)
        except Exception:  # it must be replaced all the same
            _LOGGER.exception("the streams of worker %d do not go on", self._number)
        if is_replaced:
            is_long = time.monotonic() - worker.begun_at > _LONG_LIFE
            self._pause = _FIRST_PAUSE if is_long else min(self._pause, _LONGEST_PAUSE_AFTER_LIFE)
            await self._replace()

    async def _replace(self) -> None:
        while not (self._is_closed or self._is_given_up) and self.worker is None:
            pause, self._pause = self._pause, min(2.0 * self._pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)
            try:
                await self.occupy()
            except Exception as error:
                reason = str(error) or type(error).__name__
                _LOGGER.error("worker %d cannot be replaced yet: %s", self._number, reason)
