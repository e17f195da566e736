"""A worker as its server sees it: what it can carry, the streams that it decodes, and whether it lives."""

import asyncio
import logging
import time
from enum import Enum, auto
from typing import Protocol

from emf.runtime import errors
from emf.runtime.errors import EmfError
from emf.serve.failover.pace import Pace
from emf.serve.failover.trouble import Trouble
from emf.serve.workers.link import Link, Loss
from emf.serve.workers.messages import (
    CannotServe,
    FromWorker,
    Heard,
    Opened,
    Over,
    Ping,
    Pong,
    Ready,
    Snapshot,
    Starting,
    ToWorker,
    encode,
    from_worker,
)

_LOGGER = logging.getLogger(__name__)
_PINGS = 4
"""In the time after which a silent worker is given up."""


class WorkerLost(EmfError, ConnectionError):
    """A worker ended before it was ready."""


class Aboard(Protocol):
    """A stream, as its worker sees it."""

    trouble: Trouble

    def take(self, message: Opened | Heard | Snapshot | Over) -> None:
        """Take what the worker says of the stream."""


class WorkerState(Enum):
    """Where a worker stands. States only move forward."""

    READY = auto()  # takes streams
    RETIRING = auto()  # takes none any more; those that it has go on, here or elsewhere
    LOST = auto()  # decodes nothing


class RemoteWorker:
    """A worker that is ready.

    Attributes:
        number: of its place; its successor has the same.
        facts: what it said first.
        metrics: of its engine, as it said last.
        streams: that it decodes, by number.
        state: see `WorkerState`.
        pace: of its snapshots.
        heard_at: when it said something last, by `time.monotonic`.
        begun_at: when it was ready.
    """

    def __init__(self, number: int, link: Link, facts: Ready, silence: float) -> None:
        """Take a worker that has just said `facts`; after `silence` seconds without a sign of life it is given up."""
        self.number, self.facts, self.metrics = number, facts, facts.metrics
        self.streams: dict[int, Aboard] = {}
        self.state = WorkerState.READY
        self.pace = Pace()
        self.begun_at = self.heard_at = self._decoded_at = time.monotonic()
        self._link, self._silence = link, silence
        self._severed_as: Loss | None = None

    @property
    def identity(self) -> dict[str, str]:
        """What a snapshot must have been taken with to go on here."""
        return self.facts.identity

    @property
    def room(self) -> int:
        """Streams that it could take; negative where it has more than it should."""
        return self.metrics.capacity - len(self.streams)

    @property
    def has_suspect(self) -> bool:
        """Whether a stream of it may have ended its worker before."""
        return any(stream.trouble.is_suspect for stream in self.streams.values())

    @property
    def snapshot_interval(self) -> float:
        """Seconds of audio between two snapshots of a stream."""
        return self.pace.interval(len(self.streams))

    def send(self, message: ToWorker) -> None:
        """Send without waiting."""
        if self.state is not WorkerState.LOST:
            self._link.send(encode(message))

    def sever(self, loss: Loss) -> None:
        """End the worker. Whatever it still says is not heard."""
        if self._severed_as is None:
            self._severed_as = loss
            self._link.sever()

    async def run(self) -> Loss:
        """Take what it says until it is lost; return how."""
        watching = asyncio.create_task(self._watch())
        try:
            while self._severed_as is None and (frame := await self._link.receive()) is not None:
                if self._severed_as is None:
                    self._handle(from_worker(frame))
        except Exception:  # its streams go on elsewhere, whatever it is
            _LOGGER.exception("worker %d says what makes no sense", self.number)
            self.sever(Loss.CRASHED)
        finally:
            watching.cancel()
            self.state = WorkerState.LOST
            ended_by_itself = self._severed_as is None
            self._link.sever()
        if ended_by_itself:
            return await self._link.loss()
        return self._severed_as or Loss.STOPPED

    def _handle(self, message: FromWorker) -> None:
        self.heard_at = time.monotonic()
        match message:
            case Pong(metrics):
                if not metrics.ready or metrics.batches != self.metrics.batches:
                    self._decoded_at = self.heard_at
                self.metrics = metrics
            case Opened() | Heard() | Snapshot() | Over():
                if found := self.streams.get(message.stream):
                    found.take(message)
            case Ready() | CannotServe() | Starting():
                _LOGGER.warning("worker %d says twice whether it is ready", self.number)

    async def _watch(self) -> None:
        """Give the worker up where it answers no ping, or decodes nothing though something waits."""
        while True:
            self.send(Ping())
            begin = time.monotonic()
            await asyncio.sleep(self._silence / _PINGS)
            if time.monotonic() - begin > self._silence / 2:  # it was this process that stood still
                self.heard_at = self._decoded_at = time.monotonic()
            since = min(self.heard_at, self._decoded_at)
            if time.monotonic() - since > self._silence:
                _LOGGER.warning("worker %d gave no sign of life for %.1f seconds", self.number, self._silence)
                self.sever(Loss.HUNG)
                return


async def until_ready(link: Link, silence: float) -> Ready:
    """What a worker says as soon as it is ready.

    Raises:
        EmfError: why the worker cannot serve.
        WorkerLost: it ended, or gave no sign of life for `silence` seconds.
    """
    message: FromWorker = Starting()
    while isinstance(message, Starting):
        try:
            async with asyncio.timeout(silence):
                frame = await link.receive()
        except TimeoutError:
            raise WorkerLost(f"a worker that starts gave no sign of life for {silence:g} seconds") from None
        if frame is None:
            raise WorkerLost(f"a worker ended before it was ready ({(await link.loss()).value}); see the log")
        message = from_worker(frame)
    match message:
        case Ready() as ready:
            return ready
        case CannotServe(kind, reason):
            found = getattr(errors, kind, None)
            raise found(reason) if isinstance(found, type) and issubclass(found, EmfError) else EmfError(reason)
    raise WorkerLost("a worker said something else first")
