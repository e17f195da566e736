"""An event loop whose time goes on when nothing else is left to do: delays are exact, and take no time."""

import asyncio
import selectors
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Clock(selectors.DefaultSelector):
    """A selector that does not wait: where nothing is to be read or written, the time-out is over at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits for what nobody will send"
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop for clients and servers that all run in it, without threads.

    They are connected by socket pairs, through which bytes are there as soon as they are written. By a network, they
    could come after time has gone on.
    """

    def __init__(self) -> None:
        self._clock = _Clock()
        self._servers: dict[int, Callable[[], asyncio.BaseProtocol]] = {}
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    async def create_server(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], *arguments: Any, **options: Any
    ) -> asyncio.Server:
        server: asyncio.Server = await super().create_server(protocol_factory, *arguments, **options)
        self._servers[server.sockets[0].getsockname()[1]] = protocol_factory
        return server

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, **_: Any
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        here, there = socket.socketpair()
        await self.connect_accepted_socket(self._servers[port], there)
        return await super().create_connection(protocol_factory, sock=here)


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
