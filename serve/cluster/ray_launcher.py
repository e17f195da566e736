"""Workers as actors of a Ray cluster: Ray places them and says when they are lost.

Source: Ray 2.60, actors. Nothing else of the server imports Ray. No connection of a client passes through Ray Serve.
"""

import asyncio
import contextlib
import logging
import os
from typing import Any

import msgspec

from emf.runtime.errors import EmfError, MissingDependency
from emf.serve.cluster.actor import WorkerActor
from emf.serve.cluster.reception import Reception
from emf.serve.workers.frames import FrameSocket
from emf.serve.workers.link import Link, Loss
from emf.serve.workers.main import Begin
from emf.serve.workers.messages import Frame
from emf.serve.workers.spec import WorkerSpec

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report its use

try:
    import ray
except ImportError as error:
    raise MissingDependency.of("--workers ray:N", "ray", "ray") from error

_LOSS_SECONDS = 2.0


class ActorLink:
    """See `Link`."""

    def __init__(self, frames: FrameSocket, actor: Any, serving: "asyncio.Future[None]") -> None:
        self._frames, self._actor, self._serving = frames, actor, serving

    def send(self, frame: bytes) -> None:
        """See `Link`."""
        self._frames.send(frame)

    async def receive(self) -> Frame | None:
        """See `Link`."""
        return await self._frames.receive()

    def sever(self) -> None:
        """See `Link`."""
        self._frames.close()
        _kill(self._actor)

    async def loss(self) -> Loss:
        """See `Link`. A machine that is gone is not waited for."""
        try:
            async with asyncio.timeout(_LOSS_SECONDS):
                await asyncio.shield(self._serving)
        except (TimeoutError, ray.exceptions.ActorDiedError, ray.exceptions.ActorUnavailableError):
            return Loss.KILLED
        except ray.exceptions.RayError:
            return Loss.CRASHED
        return Loss.STOPPED


class RayLauncher:
    """Begins workers as actors; see `Launcher`. A worker that finds no room waits for a machine that has some."""

    def __init__(self, spec: WorkerSpec, threads: int, address: str | None = None) -> None:
        """Begin workers that open `spec`, whose artifact every machine sees under the same path.

        Args:
            spec: of every worker.
            threads: of each: processors that Ray keeps for it.
            address: of the cluster; `None` takes the one that `RAY_ADDRESS` names, or that runs here, or begins one of
                this machine alone.
        """
        self._begin = msgspec.msgpack.encode(Begin(spec))
        self._threads, self._address = threads, address
        self._reception, self._joining = Reception(), asyncio.Lock()
        self._host = ""

    async def launch(self, number: int) -> Link:
        """See `Launcher`.

        Raises:
            EmfError: there is no such cluster.
        """
        async with self._joining:
            await self._join()
        token, arrival = self._reception.expect()
        placed = ray.remote(WorkerActor).options(num_cpus=self._threads, max_restarts=0, scheduling_strategy="SPREAD")
        actor = placed.remote()
        answer = actor.serve.remote(self._host, self._reception.port, token)
        serving: asyncio.Future[None] = asyncio.wrap_future(answer.future())
        serving.add_done_callback(_heard)
        try:
            await asyncio.wait((serving, arrival), return_when=asyncio.FIRST_COMPLETED)
            if not arrival.done():
                await serving  # says why it never came
                raise ConnectionError("a worker ended before it was here")
        except BaseException:
            arrival.cancel()
            _kill(actor)
            raise
        frames = arrival.result()
        frames.send(self._begin)
        return ActorLink(frames, actor, serving)

    async def _join(self) -> None:
        """Be a driver of the cluster, and listen for its workers."""
        if not self._host:
            try:
                if not ray.is_initialized():
                    await asyncio.to_thread(_connect, self._address)
                self._host = ray.util.get_node_ip_address()
            except (ConnectionError, ray.exceptions.RayError) as error:
                raise EmfError(f"the Ray cluster cannot be reached ({error}); see RAY_ADDRESS") from error
        await self._reception.open(self._host)


def _connect(address: str | None) -> None:
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


def _kill(actor: Any) -> None:
    with contextlib.suppress(ray.exceptions.RayError, ValueError):
        ray.kill(actor)


def _heard(serving: "asyncio.Future[None]") -> None:
    """Take an error that nobody may ask for."""
    if not serving.cancelled():
        serving.exception()
