"""Streams decoded by workers in other processes, or elsewhere: they outlive every one of them."""

import asyncio
import itertools
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial

from emf.runtime.artifact.tokens import TokenTable
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.errors import Overloaded, SnapshotError, StreamClosed
from emf.serve.failover.carried_stream import CarriedStream
from emf.serve.failover.keeper import Keeper
from emf.serve.failover.placing import choose, uneven
from emf.serve.failover.remote_worker import RemoteWorker, WorkerState
from emf.serve.failover.trouble import blame
from emf.serve.pool.pool_observer import PoolObserver, Unobserved
from emf.serve.pool.stream_pool import NO_WISHES, LiveStream, ModelFacts, StreamWishes
from emf.serve.workers.link import Launcher, Loss

_LOGGER = logging.getLogger(__name__)
_TICK_SECONDS = 0.05
_EVENING_TICKS = 10
_MOVED_AT_ONCE = 4
SILENCE_SECONDS = 5.0


class WorkerPool:
    """A `StreamPool` of several workers.

    A stream whose worker is lost goes on at another from its latest snapshot and the audio since. Where no worker is
    left, streams wait for the next one.
    """

    def __init__(
        self,
        launcher: Launcher,
        count: int,
        tokens: TokenTable,
        name: str,
        language: str = "en",
        max_streams: int | None = None,
        silence: float = SILENCE_SECONDS,
        observer: PoolObserver | None = None,
    ) -> None:
        """Begin without workers; `start` begins them.

        Args:
            launcher: begins workers.
            count: of them.
            tokens: of the model.
            name: of the model.
            language: of the model.
            max_streams: at once over all workers; `None` leaves it to the workers.
            silence: seconds without a sign of life, after which a worker is given up.
            observer: measures.
        """
        self._observer = observer or Unobserved()
        self._places, self._launcher, self._silence = itertools.count(), launcher, silence
        self._keepers = [self._new_keeper() for _ in range(count)]
        self._leaving: list[Keeper] = []
        self._tokens, self._max_streams = tokens, max_streams
        self.facts = ModelFacts(name, 0, language)
        self._numbers = itertools.count()
        self._streams: dict[CarriedStream, None] = {}
        self._homeless: dict[CarriedStream, None] = {}
        self._has_homeless = asyncio.Event()
        self._moves: dict[CarriedStream, asyncio.Task[None]] = {}
        self._tending: asyncio.Task[None] | None = None
        self._company: asyncio.Task[None] | None = None
        self._reloading = asyncio.Lock()

    def _new_keeper(self) -> Keeper:
        return Keeper(next(self._places), self._launcher, self._silence, self._lost, self._observer)

    async def start(self) -> None:
        """Begin all workers, and wait until they are ready.

        Raises:
            EmfError: why they cannot serve.
        """
        begun = await asyncio.gather(*(keeper.occupy() for keeper in self._keepers), return_exceptions=True)
        for error in begun:
            if error is not None:
                await self.close()
                raise error
        sample_rate = self.workers[0].facts.sample_rate
        self.facts = ModelFacts(self.facts.name, sample_rate, self.facts.language)
        self._tending = asyncio.create_task(self._tend())

    @property
    def workers(self) -> list[RemoteWorker]:
        """All that live: those that take streams first."""
        taking = [keeper.worker for keeper in self._keepers if keeper.worker is not None]
        return taking + [worker for keeper in self._all_keepers for worker in keeper.retiring]

    @property
    def _all_keepers(self) -> list[Keeper]:
        return [*self._keepers, *self._leaving]

    @property
    def size(self) -> int:
        """Places for workers."""
        return len(self._keepers)

    @property
    def num_streams(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    async def grow(self) -> None:
        """Begin a worker more, and wait until it is ready.

        Raises:
            Exception: it cannot be begun.
        """
        keeper = self._new_keeper()
        await keeper.occupy()
        self._keepers.append(keeper)

    def shrink(self) -> None:
        """Have one worker less: that with fewest streams, which are moved to the others first."""
        keeper = min(self._keepers, key=lambda one: len(one.worker.streams) if one.worker is not None else -1)
        self._keepers.remove(keeper)
        self._leaving.append(keeper)
        keeper.give_up()

    @property
    def capacity(self) -> int:
        """See `StreamPool`. A worker that is being replaced counts for a while."""
        carried = sum(keeper.capacity for keeper in self._keepers)
        return carried if self._max_streams is None else min(carried, self._max_streams)

    async def open(self, wishes: StreamWishes = NO_WISHES, snapshot: bytes | None = None) -> LiveStream:
        """See `StreamPool`."""
        capacity = self.capacity
        if len(self._streams) >= capacity:
            raise Overloaded(f"expected at most {capacity} streams at once, found one more; try again later")
        stream = CarriedStream(self._numbers, wishes, snapshot, self._forget, self._observer.stream_moved)
        self._streams[stream] = None
        self._place(stream)
        try:
            await stream.opened()
        except BaseException:
            stream.close()
            raise
        return stream

    def spell(self, token_ids: Sequence[int]) -> str:
        """See `StreamPool`."""
        return self._tokens.text(token_ids)

    def metrics(self) -> Sequence[EngineMetrics]:
        """See `StreamPool`."""
        return [worker.metrics for worker in self.workers]

    async def renew(self) -> None:
        """Replace every worker by another, one after the other, and move the streams where snapshots can be restored.

        Where they cannot, streams stay at the old workers up to their ends.

        Raises:
            Exception: why a worker cannot be begun; the old ones go on.
        """
        async with self._reloading:
            for keeper in self._keepers:
                await keeper.occupy()

    def accompany(self, work: Coroutine[None, None, None]) -> None:
        """Do something beside it until it is closed."""
        self._company = asyncio.create_task(work)

    async def close(self) -> None:
        """See `StreamPool`."""
        if self._company is not None:
            self._company.cancel()
        if self._tending is not None:
            self._tending.cancel()
        for stream in list(self._streams):
            stream.close()
        for move in self._moves.values():
            move.cancel()
        for keeper in self._all_keepers:
            keeper.close()

    def _forget(self, stream: CarriedStream) -> None:
        self._streams.pop(stream, None)
        self._homeless.pop(stream, None)

    def _lost(self, worker: RemoteWorker, loss: Loss) -> None:
        """Have the streams of a lost worker go on."""
        streams = [stream for stream in self._streams if stream.worker is worker]
        blame([stream.trouble for stream in streams], loss)
        for stream in streams:
            stream.leave("lost", worker.heard_at)
            if stream.trouble.is_guilty:
                self._observer.stream_blamed()
                stream.fail(StreamClosed("the stream ended its workers again and again; it cannot be decoded"))
            else:
                self._homeless[stream] = None
        self._has_homeless.set()

    def _place(self, stream: CarriedStream) -> None:
        """Have a stream go on where there is most room; where nobody can take it now, it waits."""
        worker = choose(self.workers, stream.identity, stream.trouble)
        if worker is None and stream.identity is not None:
            worker = choose(self.workers, stream.identity, stream.trouble, WorkerState.RETIRING)
        if worker is not None:
            self._homeless.pop(stream, None)
            stream.attach(worker)
            return
        self._homeless[stream] = None
        if stream.identity is not None and not self._may_come(stream.identity):
            stream.fail(SnapshotError("the model that decoded the stream is no longer served; begin another"))

    def _may_come(self, identity: Mapping[str, str]) -> bool:
        """Whether a worker that takes such snapshots is here, or may be soon."""
        is_complete = all(keeper.worker is not None for keeper in self._keepers)
        return not is_complete or any(worker.identity == identity for worker in self.workers)

    async def _tend(self) -> None:
        """Find places, retire workers, even out."""
        for tick in itertools.count():
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._has_homeless.wait()
            self._has_homeless.clear()
            try:
                await self._house()
                for worker in [worker for keeper in self._all_keepers for worker in keeper.retiring]:
                    self._retire(worker)
                self._leaving = [keeper for keeper in self._leaving if keeper.retiring]
                if tick % _EVENING_TICKS == 0 and (pair := uneven(self.workers)):
                    self._begin_moves(pair[0], 1)
            except Exception:  # whatever it is, the other streams need what follows
                _LOGGER.exception("the workers were not tended")

    async def _house(self) -> None:
        for stream in list(self._homeless):
            if stream in self._homeless:
                self._place(stream)
                await asyncio.sleep(0)  # snapshots are large: connections get their turn in between

    def _retire(self, worker: RemoteWorker) -> None:
        if not worker.streams:
            worker.sever(Loss.STOPPED)
        elif choose(self.workers, worker.identity) is not None:
            self._begin_moves(worker, _MOVED_AT_ONCE)

    def _begin_moves(self, worker: RemoteWorker, most: int) -> None:
        for stream in self._streams:
            if len(self._moves) >= most:
                return
            if stream.worker is worker and stream not in self._moves and not stream.trouble.unproven:
                move = asyncio.create_task(self._move(stream, worker))
                self._moves[stream] = move
                move.add_done_callback(partial(self._moved, stream))

    def _moved(self, stream: CarriedStream, _: object) -> None:
        self._moves.pop(stream, None)

    async def _move(self, stream: CarriedStream, source: RemoteWorker) -> None:
        """Move a stream that is being decoded, by a snapshot taken for it."""
        try:
            await stream.snapshot()
        except StreamClosed:
            return
        target = choose((one for one in self.workers if one is not source), source.identity)
        if stream.worker is source and target is not None and not stream.is_over:
            stream.leave("wished", time.monotonic())
            stream.attach(target)
