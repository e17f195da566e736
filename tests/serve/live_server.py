"""A server in a thread of the test's process, to be reached over loopback."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emf.runtime import EndpointRules, Engine, Recognizer
from emf.serve.access.keys import Keys
from emf.serve.app import make_app
from emf.serve.commands.serve import make_service
from emf.serve.options import ServeOptions
from emf.serve.own_ports import bind_own_ports, listen_at
from emf.serve.pool.in_process import InProcessPool
from emf.serve.protocols import PROTOCOLS
from emf.serve.server import Server, bind
from emf.serve.service.service import Service

SECONDS = 60.0
"""How long a test waits for what should come at once: no slow machine takes as long."""


@dataclass
class LiveServer:
    """A running server.

    Attributes:
        recognizer: decodes; tests compare with it, or slow it down.
        engine: holds the streams.
        service: what the protocols share.
        ports: of single protocols, where asked for.
    """

    recognizer: Recognizer
    engine: Engine
    service: Service
    server: Server
    loop: asyncio.AbstractEventLoop
    port: int
    ports: dict[str, int]
    thread: threading.Thread = field(init=False)

    def url(self, path: str = "/emf/v1/stream", scheme: str = "ws") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    @property
    def addresses(self) -> dict[str, str]:
        """As `emf-serve --json` prints them."""
        return {
            "address": self.url("", "http"),
            **{name: f"tcp://127.0.0.1:{port}" for name, port in self.ports.items()},
        }

    def stop(self) -> None:
        """As SIGTERM does."""
        self.loop.call_soon_threadsafe(self.server.stop)


@contextmanager
def live_server(
    artifact: Path, *, keys: Keys | None = None, endpoint: EndpointRules | None = None, **options: Any
) -> Iterator[LiveServer]:
    """Serve an artifact; `options` are those of `ServeOptions`, others are set on `Service` and its limits."""
    method = options.pop("decoding_method", "greedy")
    recognizer = Recognizer.load(artifact, num_threads=1, endpoint=endpoint, decoding_method=method)
    engine = Engine(recognizer, max_streams=options.pop("max_streams", 8), max_batch=8, idle_timeout_ms=1e9)
    limits = {name: options.pop(name) for name in ("park_after", "flush_after") if name in options}
    chosen = ServeOptions(drain=options.pop("drain", 5.0), protocols=tuple(PROTOCOLS), **options)
    ready = threading.Event()
    made: list[LiveServer] = []

    async def serve() -> None:
        pool = InProcessPool(recognizer, engine, artifact.name)
        service = make_service(pool, keys or Keys(), chosen)
        for name, value in limits.items():
            object.__setattr__(service.session_limits, name, value)
        bound = bind("127.0.0.1", 0)
        server = Server(service, chosen)
        server.listen(make_app(service, chosen.protocols), bound)
        port = bound.getsockname()[1]
        own_ports = bind_own_ports(chosen)
        listen_at(server, service, own_ports)
        ports = {own.protocol: own.bound.getsockname()[1] for own in own_ports}
        made.append(LiveServer(recognizer, engine, service, server, asyncio.get_running_loop(), port, ports))
        await server.run(ready.set)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(SECONDS)
    (running,) = made
    running.thread = thread
    try:
        yield running
    finally:
        if thread.is_alive():
            running.stop()
        thread.join(SECONDS)
        assert not thread.is_alive(), "the server ends"
