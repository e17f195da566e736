"""A worker process: `python -m emf.serve.workers.main N` serves the server at the other end of socket N.

It ends when the server does: its socket closes. Signals are for the server alone.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import time

import msgspec
from msgspec import Struct

from emf.runtime.errors import EmfError
from emf.serve.workers.cores import pin
from emf.serve.workers.desk import Desk
from emf.serve.workers.frames import FrameSocket
from emf.serve.workers.messages import CannotServe, Starting, encode, to_worker
from emf.serve.workers.spec import WorkerSpec

_LOGGER = logging.getLogger(__name__)
_SIGN_SECONDS = 0.25


class Begin(Struct, frozen=True):
    """The first frame for a worker process.

    Attributes:
        spec: what it opens.
        cores: processors that it keeps to; none for any.
    """

    spec: WorkerSpec
    cores: tuple[int, ...] = ()


async def serve(frames: FrameSocket) -> None:
    """Serve whoever sends the frames, `Begin` first, until it is gone."""
    began = time.perf_counter()
    first = await frames.receive()
    if first is None:
        return
    begin = msgspec.msgpack.decode(first, type=Begin)
    pin(begin.cores)
    starting = asyncio.create_task(_tell_starting(frames))
    try:
        pool = await asyncio.to_thread(begin.spec.open, beyond_capacity=True)
    except EmfError as error:
        frames.send(encode(CannotServe(type(error).__name__, str(error))))
        await frames.sent()
        return
    finally:
        starting.cancel()
    desk = Desk(pool, lambda message: frames.send(encode(message)))
    frames.send(encode(desk.ready(time.perf_counter() - began)))
    while (frame := await frames.receive()) is not None:
        desk.handle(to_worker(frame))


async def _tell_starting(frames: FrameSocket) -> None:
    while True:
        frames.send(encode(Starting()))
        await asyncio.sleep(_SIGN_SECONDS)


async def _serve(connected: socket.socket) -> None:
    await serve(await FrameSocket.over(connected))


def main() -> None:
    """Serve, then end at once: threads may be decoding for nobody."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="worker %(process)d: %(message)s")
    status = 0
    try:
        asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
    except Exception:
        _LOGGER.exception("a worker failed")
        status = 1
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
