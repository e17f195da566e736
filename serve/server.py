"""Serving until a signal: uvicorn run by a program, with signals of our own.

uvicorn alone closes every WebSocket with 1012 as soon as SIGTERM comes. Here sessions end first.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from emf.runtime.errors import UsageError
from emf.serve.options import ServeOptions
from emf.serve.service.service import Service

MAX_MESSAGE_BYTES = 24 * 2**20
"""Of a WebSocket message: 15 MiB of audio in base64, and what stands around it."""
_MAX_HEADER_BYTES = 32 * 2**10
_PING_SECONDS = 20.0
_BACKLOG = 2048
_LOOP_SAMPLE_SECONDS = 0.25
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
        bound.bind(address)
    except OSError as error:
        raise UsageError(f"cannot listen at {host}, port {port} ({error.strerror or error}); choose another") from error
    return bound


def address_of(bound: socket.socket, options: ServeOptions) -> str:
    """The URL at which a socket will be reached."""
    host, port = bound.getsockname()[:2]
    scheme = "http" if options.tls_cert is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: ASGIApp, options: ServeOptions) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http="h11",
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,  # a key may stand in the URL
        server_header=False,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PING_SECONDS,
        ws_per_message_deflate=False,  # audio does not get smaller
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=2,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"expected a certificate and its key in PEM ({error}); check both files") from error
    return config


class Server:
    """Serves an application until SIGTERM or SIGINT, then lets its sessions end; a second signal ends at once."""

    def __init__(self, app: ASGIApp, service: Service, options: ServeOptions) -> None:
        """Prepare; nothing listens yet.

        Raises:
            UsageError: the certificate or its key cannot be used.
        """
        self._service, self._options = service, options
        self._uvicorn = _Uvicorn(_config(app, options))
        self._signals = 0
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self, bound: socket.socket, on_ready: Callable[[], None]) -> None:
        """Serve at a socket to the end; `on_ready` is called when it listens."""
        _quiet_uvicorn()
        loop = asyncio.get_running_loop()
        signals = _SIGNALS if threading.current_thread() is threading.main_thread() else ()
        for number in signals:
            loop.add_signal_handler(number, self.stop)
        serving = asyncio.create_task(self._uvicorn.serve([bound]))
        watching = asyncio.create_task(self._watch_loop())
        try:
            await self._until(lambda: self._uvicorn.started, serving)
            on_ready()
            await self._first(self._stopping.wait(), serving)
            await self._first(self._service.drain(self._options.drain), self._hurry.wait(), serving)
            await self._settle()
        finally:
            self._uvicorn.should_exit = True
            await serving
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
            self._uvicorn.force_exit = True

    async def _settle(self) -> None:
        """Give connections a moment to send their last message."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while self._service.sessions and not self._hurry.is_set():
                    await asyncio.sleep(0.02)

    @staticmethod
    async def _until(holds: Callable[[], bool], serving: "asyncio.Task[None]") -> None:
        while not holds() and not serving.done():
            await asyncio.sleep(0.01)

    @staticmethod
    async def _first(*waiting: Awaitable[object]) -> None:
        """Wait for the first of several, and give up the others, but for the server."""
        tasks = [asyncio.ensure_future(one) for one in waiting]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task, one in zip(tasks, waiting, strict=True):
            if task is not one:
                task.cancel()

    async def _watch_loop(self) -> None:
        while True:
            begin = time.monotonic()
            await asyncio.sleep(_LOOP_SAMPLE_SECONDS)
            self._service.counters.loop_lag(max(time.monotonic() - begin - _LOOP_SAMPLE_SECONDS, 0.0))


def _quiet_uvicorn() -> None:
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.WARNING)
    logger.addFilter(lambda record: "without completing handshake" not in record.getMessage())
