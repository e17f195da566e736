"""The worker on another machine: it connects to the server that asked for it, and serves it as a process would."""

import asyncio

from emf.serve.workers.frames import FrameSocket
from emf.serve.workers.main import serve


class WorkerActor:
    """What Ray makes an actor of. Audio and results do not pass through Ray, but over a connection of their own."""

    def serve(self, hosts: tuple[str, ...], port: int, token: bytes) -> None:
        """Serve the server at the first of these addresses that answers, until it is gone.

        Raises:
            OSError: none answers.
        """
        asyncio.run(_serve(hosts, port, token))


async def _serve(hosts: tuple[str, ...], port: int, token: bytes) -> None:
    frames = await _connect(hosts, port)
    frames.send(token)
    await serve(frames)


async def _connect(hosts: tuple[str, ...], port: int) -> FrameSocket:
    *others, last = hosts
    for host in others:
        try:
            return await FrameSocket.to(host, port)
        except OSError:
            continue
    return await FrameSocket.to(last, port)
