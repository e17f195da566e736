"""A pool whose number of workers follows its streams, within bounds."""

import asyncio
import logging
import time
from dataclasses import dataclass

from emf.serve.failover.worker_pool import WorkerPool

_LOGGER = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Elasticity:
    """When workers come and go.

    Attributes:
        least: workers.
        most: workers.
        full: share of the capacity in use at which another worker begins.
        spare: share of the capacity without one worker, at or below which that one ends.
        calm: seconds for which so few streams must be open.
    """

    least: int
    most: int
    full: float = 0.75
    spare: float = 0.5
    calm: float = 60.0

    def wanted(self, workers: int, streams: int, capacity: int) -> int:
        """Workers wanted, one more or one less at the most, where there are some with a capacity for some streams."""
        if workers < self.most and streams >= self.full * capacity:
            return workers + 1
        if workers > self.least and streams <= self.spare * capacity * (workers - 1) / workers:
            return workers - 1
        return workers


class Scaler:
    """Begins and ends workers of a pool. A worker that ends hands its streams to the others first."""

    def __init__(self, pool: WorkerPool, elasticity: Elasticity) -> None:
        self._pool, self._elasticity = pool, elasticity
        self._calm_since: float | None = None

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except Exception as error:
                _LOGGER.error("no worker can be added now: %s", error)

    async def look(self) -> None:
        """Begin or end a worker, if it is time.

        Raises:
            Exception: why a worker cannot be begun.
        """
        pool = self._pool
        wanted = self._elasticity.wanted(pool.size, pool.num_streams, pool.capacity)
        now = time.monotonic()
        if wanted >= pool.size:
            self._calm_since = None
            if wanted > pool.size:
                await pool.grow()
        elif self._calm_since is None:
            self._calm_since = now
        if self._calm_since is not None and now - self._calm_since >= self._elasticity.calm:
            self._calm_since = None
            pool.shrink()
