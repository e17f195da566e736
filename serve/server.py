"""Serving until a signal: uvicorn run by a program, with signals of our own.

uvicorn alone closes every WebSocket with 1012 as soon as SIGTERM comes. Here sessions end first.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeAlias

from starlette.types import ASGIApp

from emf.runtime.errors import UsageError
from emf.serve.connections import Connections
from emf.serve.http_server import HttpServer, quiet_uvicorn
from emf.serve.options import ServeOptions
from emf.serve.service.service import Service

_LOGGER = logging.getLogger(__name__)
ConnectionHandler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_UNSENT_SECONDS = 60.0
"""How long a client may take nothing of what it is sent."""
_LOOP_SAMPLE_SECONDS = 0.05
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address, which does not listen yet.

    Raises:
        UsageError: there is no such address, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _give_up_the_lost(bound)
        bound.bind(address)
    except OSError as error:
        raise UsageError(f"cannot listen at {host}, port {port} ({error.strerror or error}); choose another") from error
    return bound


def _give_up_the_lost(bound: socket.socket) -> None:
    """Let the system end connections whose other end vanished, or takes nothing: they inherit this from the socket."""
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", _UNSENT_SECONDS), ("TCP_USER_TIMEOUT", 1e3 * _UNSENT_SECONDS)):
        if (number := getattr(socket, name, None)) is not None:
            bound.setsockopt(socket.IPPROTO_TCP, number, int(value))


def address_of(bound: socket.socket, options: ServeOptions) -> str:
    """The URL at which a socket will be reached."""
    return url_of(bound, "http" if options.tls_cert is None else "https")


def url_of(bound: socket.socket, scheme: str) -> str:
    """The URL of a socket, in a scheme."""
    host, port = bound.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class Server:
    """Serves until SIGTERM or SIGINT, then lets its sessions end; a second signal ends at once.

    Attributes:
        connections: that are open.
    """

    def __init__(self, service: Service, options: ServeOptions) -> None:
        """Prepare; `listen` adds what is served."""
        self._service, self._options = service, options
        self._apps: list[tuple[HttpServer, socket.socket]] = []
        self._handlers: list[tuple[ConnectionHandler, socket.socket]] = []
        self._raw: set[asyncio.Task[None]] = set()
        self.connections = Connections(options.max_connections, service.counters.refused, [lambda: len(self._raw)])
        service.counters.watch_connections(lambda: self.connections.open)
        self._signals = 0
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    def listen(self, app: ASGIApp, bound: socket.socket) -> None:
        """Serve an application at a socket.

        Raises:
            UsageError: the certificate or its key cannot be used.
        """
        self._apps.append((HttpServer(app, self._options, self.connections), bound))

    def listen_raw(self, handler: ConnectionHandler, bound: socket.socket) -> None:
        """Serve a protocol that is not HTTP at a socket; `handler` gets the two ends of each connection."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_handle(handler, reader, writer))
            self._raw.add(task)
            task.add_done_callback(self._raw.discard)
            if not self.connections.may_stay():
                task.cancel()
                writer.transport.abort()

        self._handlers.append((handle, bound))

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve to the end; `on_ready` is called when all sockets listen."""
        quiet_uvicorn()
        loop = asyncio.get_running_loop()
        signals = _SIGNALS if threading.current_thread() is threading.main_thread() else ()
        for number in signals:
            loop.add_signal_handler(number, self.stop)
        serving = [asyncio.create_task(app.serve([bound])) for app, bound in self._apps]
        raw = [await asyncio.start_server(handler, sock=bound) for handler, bound in self._handlers]
        watching = asyncio.create_task(self._watch_loop())
        try:
            while not all(app.started for app, _ in self._apps) and not any(task.done() for task in serving):
                await asyncio.sleep(0.01)
            on_ready()
            await _first(self._stopping.wait(), *serving)
            await _first(self._service.drain(self._options.drain), self._hurry.wait(), *serving)
            await self._settle()
        finally:
            for server in raw:
                server.close()
            for app, _ in self._apps:
                app.should_exit = True
            await asyncio.gather(*serving)
            await self._end_raw()
            watching.cancel()
            await self._service.close()
            for number in signals:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Begin to end; called again, end at once."""
        self._signals += 1
        self._stopping.set()
        if self._signals > 1:
            self._hurry.set()
            for app, _ in self._apps:
                app.force_exit = True

    async def _settle(self) -> None:
        """Give connections a moment to send their last message."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while self._service.sessions and not self._hurry.is_set():
                    await asyncio.sleep(0.02)

    async def _end_raw(self) -> None:
        ending = set(self._raw)
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    async def _watch_loop(self) -> None:
        while True:
            begin = time.monotonic()
            await asyncio.sleep(_LOOP_SAMPLE_SECONDS)
            self._service.counters.loop_lag(max(time.monotonic() - begin - _LOOP_SAMPLE_SECONDS, 0.0))


async def _handle(handler: ConnectionHandler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await handler(reader, writer)
    except ConnectionError:
        pass  # the client is gone
    except Exception:
        _LOGGER.exception("a connection failed")
    finally:
        writer.close()


async def _first(*waiting: "Coroutine[None, None, object] | asyncio.Task[None]") -> None:
    """Wait for the first of several; give up those that were not running before."""
    tasks = [one if isinstance(one, asyncio.Task) else asyncio.create_task(one) for one in waiting]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, one in zip(tasks, waiting, strict=True):
        if task is not one:
            task.cancel()
        elif task.done():
            task.result()
