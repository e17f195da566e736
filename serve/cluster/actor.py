"""The worker on another machine: it connects to the server that asked for it, and serves it as a process would."""

import asyncio

from emf.serve.workers.frames import FrameSocket
from emf.serve.workers.main import serve


class WorkerActor:
    """What Ray makes an actor of. Audio and results do not pass through Ray, but over a connection of their own."""

    def serve(self, host: str, port: int, token: bytes) -> None:
        """Serve the server that listens there, until it is gone.

        Raises:
            OSError: it does not answer.
        """
        asyncio.run(_serve(host, port, token))


async def _serve(host: str, port: int, token: bytes) -> None:
    frames = await FrameSocket.to(host, port)
    frames.send(token)
    await serve(frames)
