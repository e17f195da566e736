"""Where a server awaits the workers that it asked for: each shows the token that it was given."""

import asyncio
import hmac
import secrets
from functools import partial

from emf.serve.workers.frames import FrameSocket

_TOKEN_BYTES = 32
_TOKEN_SECONDS = 10.0


class Reception:
    """A port, and who is expected there. It belongs to one event loop.

    Attributes:
        port: that was free.
    """

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._checks: set[asyncio.Task[None]] = set()
        self._expected: dict[bytes, asyncio.Future[FrameSocket]] = {}
        self.port = 0

    async def open(self, host: str) -> None:
        """Listen at a free port of an address of this machine; once is enough."""
        if self._server is None:
            make = partial(FrameSocket, self._begin_check)
            self._server = await asyncio.get_running_loop().create_server(make, host, 0)
            self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Listen no more; connections stay."""
        if self._server is not None:
            self._server.close()

    def expect(self) -> tuple[bytes, "asyncio.Future[FrameSocket]"]:
        """A token for somebody, and their connection once they are here. Cancel it where they come no more."""
        token, arrival = secrets.token_bytes(_TOKEN_BYTES), asyncio.get_running_loop().create_future()
        self._expected[token] = arrival
        arrival.add_done_callback(lambda _: self._expected.pop(token, None))
        return token, arrival

    def _begin_check(self, frames: FrameSocket) -> None:
        check = asyncio.create_task(self._check(frames))
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)

    async def _check(self, frames: FrameSocket) -> None:
        try:
            async with asyncio.timeout(_TOKEN_SECONDS):
                shown = await frames.receive(_TOKEN_BYTES)
        except TimeoutError:
            shown = None
        for token, arrival in list(self._expected.items()):
            if shown is not None and hmac.compare_digest(shown, token) and not arrival.done():
                arrival.set_result(frames)
                return
        frames.close()
