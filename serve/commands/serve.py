"""The emf-serve command: live speech to text over the network."""

import argparse
import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from emf.runtime.commands.command_line import CommandParser, Status, command_parser, one_of, run_printing
from emf.runtime.commands.option_flags import add_option_flags
from emf.runtime.commands.recognizer_flags import add_artifact, add_recognizer_flags
from emf.runtime.commands.terminal import Output, tell
from emf.runtime.errors import UsageError
from emf.runtime.recognition.endpoint import EndpointRules
from emf.serve.access.gate import Gate
from emf.serve.access.hosts import is_loopback
from emf.serve.access.keys import ENVIRONMENT, Keys, read_keys
from emf.serve.app import make_app
from emf.serve.connections import allow_descriptors
from emf.serve.failover.worker_pool import WorkerPool
from emf.serve.operations.logs import log_as_json
from emf.serve.options import ServeOptions
from emf.serve.own_ports import OwnPort, bind_own_ports, listen_at
from emf.serve.pool.places import Places
from emf.serve.pool.stream_pool import StreamPool
from emf.serve.pools import AUTO, open_pool
from emf.serve.protocols import PROTOCOLS
from emf.serve.server import Server, address_of, bind
from emf.serve.service.counters import Counters
from emf.serve.service.service import Service, ServiceLimits
from emf.serve.session.limits import SessionLimits
from emf.serve.store.opening import open_store

_LOGGER = logging.getLogger(__name__)


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-serve",
        "Serve an exported model: live speech in, text out, over WebSockets.",
        "emf-serve artifacts/demo --port 8000",
    )
    add_artifact(parser)
    add_recognizer_flags(parser)
    add_option_flags(parser, EndpointRules, heading="endpoint ")
    add_option_flags(parser, ServeOptions)
    parser.add_argument(
        "--workers",
        default=AUTO,
        metavar="N",
        help="Decode in this many processes; 0 decodes in the server's own; ray:N in actors of a Ray cluster. "
        "Default: auto, one a processor.",
    )
    parser.add_argument(
        "--protocols",
        type=one_of(tuple(PROTOCOLS)),
        default=tuple(PROTOCOLS),
        help=f"Speak these protocols. Default: {','.join(PROTOCOLS)}.",
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="Let the web pages of this origin connect; * is every page. May be repeated. Default: the server's own.",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="Listen without keys at an address that others can reach."
    )
    return parser


def _work(flags: argparse.Namespace, output: Output) -> Status:
    options = _options(flags)
    keys = read_keys(options.api_keys, os.environ.get(ENVIRONMENT))
    _check_exposure(options, keys)
    if options.log_format == "json":
        log_as_json(logging.INFO if flags.verbose else logging.WARNING)
    allow_descriptors(options.max_connections)
    bound, own_ports = bind(options.host, options.port), bind_own_ports(options)
    others = {port.protocol: port.address(options) for port in own_ports}
    on_ready = _tell_addresses(flags, output, address_of(bound, options), others)
    with _runner() as runner:
        runner.run(_serve(flags, keys, options, bound, own_ports, on_ready))
    return Status.DONE


def _options(flags: argparse.Namespace) -> ServeOptions:
    given = {name: value for name, value in vars(flags).items() if name in ServeOptions.__dataclass_fields__}
    return ServeOptions(**{**given, "allow_origin": tuple(flags.allow_origin), "protocols": tuple(flags.protocols)})


async def _serve(
    flags: argparse.Namespace,
    keys: Keys,
    options: ServeOptions,
    bound: socket.socket,
    own_ports: list[OwnPort],
    on_ready: Callable[[], None],
) -> None:
    counters = Counters()
    pool = await open_pool(flags, options, counters)
    try:
        service = make_service(pool, keys, options, counters)
        server = Server(service, options)
        server.listen(make_app(service, options.protocols), bound)
        listen_at(server, service, own_ports)
    except BaseException:
        await pool.close()
        raise
    with _renewing(pool):
        await server.run(on_ready)


@contextmanager
def _renewing(pool: StreamPool) -> Iterator[None]:
    """Open the artifact anew at SIGHUP."""
    tasks: set[asyncio.Task[None]] = set()

    def renew() -> None:
        task = asyncio.get_running_loop().create_task(_renew(pool))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, renew)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in tasks:
            task.cancel()


async def _renew(pool: StreamPool) -> None:
    if not isinstance(pool, WorkerPool):
        _LOGGER.error("expected workers to open the artifact anew, found none; start the server with --workers")
        return
    try:
        await pool.renew()
        _LOGGER.info("all workers have opened the artifact anew")
    except Exception as error:
        _LOGGER.error("the artifact cannot be opened anew: %s", error)


def make_service(pool: StreamPool, keys: Keys, options: ServeOptions, counters: Counters | None = None) -> Service:
    """What the protocols share, by the options."""
    counters = counters or Counters()
    origins = frozenset(origin.rstrip("/") for origin in options.allow_origin)
    gate = Gate(keys, Places(lambda: pool.capacity), counters.refused, origins)
    sessions = SessionLimits(
        idle_timeout=options.idle_timeout, max_session=options.max_session, max_backlog=options.max_backlog
    )
    limits = ServiceLimits(
        resume_window=options.resume_window,
        max_upload=options.max_upload * 2**20,
        saved_every=options.snapshot_every,
    )
    store = open_store(options.snapshot_store, limits.keep_record) if options.snapshot_store else None
    return Service(pool, gate, counters, sessions, limits, store)


def _tell_addresses(
    flags: argparse.Namespace, output: Output, address: str, others: dict[str, str]
) -> Callable[[], None]:
    def on_ready() -> None:
        tell(f"listening on {address}")
        for protocol, other in others.items():
            tell(f"{protocol} at {other}")
        if flags.json:
            output.document({"address": address, **others})

    return on_ready


def _check_exposure(options: ServeOptions, keys: Keys) -> None:
    """Refuse to serve strangers by mistake."""
    if keys or options.insecure or is_loopback(options.host):
        return
    raise UsageError(
        f"expected --api-keys or {ENVIRONMENT} to listen at {options.host}, which others can reach; "
        "or pass --insecure to let in everybody"
    )


def _runner() -> asyncio.Runner:
    """An event loop: that of uvloop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_printing(make_parser(), _work, arguments)
