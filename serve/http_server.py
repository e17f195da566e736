"""uvicorn, and what it does not do by itself: give up clients that dawdle or vanish, and refuse those too many."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from emf.runtime.errors import UsageError
from emf.serve.access.gate import RETRY_AFTER_FULL
from emf.serve.connections import Connections
from emf.serve.options import ServeOptions

MAX_MESSAGE_BYTES = 24 * 2**20
"""Of a WebSocket message: 15 MiB of audio in base64, and what stands around it."""
_MAX_HEADER_BYTES = 32 * 2**10
_PING_SECONDS = 20.0
_REQUEST_SECONDS = 10.0
"""For a request to come, from its first byte to the end of its headers."""
_GOODBYE_SECONDS = 2.0
"""For a client to take what it is told last."""
_BACKLOG = 2048
_TOO_MANY = (
    "HTTP/1.1 503 Service Unavailable\r\n"
    f"Retry-After: {RETRY_AFTER_FULL}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
).encode("ascii")


class HttpServer(uvicorn.Server):
    """uvicorn that leaves signals alone."""

    def __init__(self, app: ASGIApp, options: ServeOptions, connections: Connections) -> None:
        """Prepare to serve an application.

        Raises:
            UsageError: the certificate or its key cannot be used.
        """
        super().__init__(_config(app, options, connections))
        connections.counts.append(lambda: len(self.server_state.connections))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


class _Http(H11Protocol):
    """HTTP that gives up a client whose request does not come."""

    def __init__(self, *, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._all = connections
        self._patience: asyncio.TimerHandle | None = None
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._all.may_stay():
            self._await_request()
            return
        self._is_refused = True
        transport.write(_TOO_MANY)
        self.loop.call_later(_GOODBYE_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._is_refused:
            return
        if self._is_waiting and self._patience is None:
            self._await_request()
        super().data_received(data)
        self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        self._stop_waiting(whatever=True)

    @property
    def _is_waiting(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _await_request(self) -> None:
        self._patience = self.loop.call_later(_REQUEST_SECONDS, self._give_up)

    def _stop_waiting(self, whatever: bool = False) -> None:
        is_here = self.transport.get_protocol() is self
        if self._patience is not None and (whatever or not self._is_waiting or not is_here):
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self._is_waiting and self.transport.get_protocol() is self:
            self.transport.abort()


class _WebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that ends although its client reads nothing any more: uvicorn waits until everything is sent."""

    def keepalive_timeout(self) -> None:
        """See `WebSocketsSansIOProtocol`."""
        super().keepalive_timeout()
        self._abort_later(_GOODBYE_SECONDS)

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        """See `WebSocketsSansIOProtocol`."""
        super().on_task_complete(task)
        self._abort_later(self.close_timeout + _GOODBYE_SECONDS)

    def _abort_later(self, seconds: float) -> None:
        if not self.disconnected:
            self.loop.call_later(seconds, self._abort)

    def _abort(self) -> None:
        if not self.disconnected:
            self.transport.abort()


def _config(app: ASGIApp, options: ServeOptions, connections: Connections) -> uvicorn.Config:
    def http(**given: Any) -> asyncio.Protocol:
        return _Http(connections=connections, **given)

    make: Callable[..., asyncio.Protocol] = http
    config = uvicorn.Config(
        app,
        http=make,  # type: ignore[arg-type]
        ws=_WebSocket,
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


def quiet_uvicorn() -> None:
    """Let uvicorn's log say what goes wrong, but not that a connection was refused before its upgrade."""
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.WARNING)
    logger.addFilter(lambda record: "without completing handshake" not in record.getMessage())
