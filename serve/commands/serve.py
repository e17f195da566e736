"""The emf-serve command: live speech to text over the network."""

import argparse
import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from emf.runtime.commands.command_line import CommandParser, Status, command_parser, one_of, run_printing
from emf.runtime.commands.option_flags import add_option_flags, options_from
from emf.runtime.commands.recognizer_flags import add_artifact, add_recognizer_flags, read_decoding
from emf.runtime.commands.terminal import Output, tell
from emf.runtime.engine.engine import Engine
from emf.runtime.errors import UsageError
from emf.runtime.recognition.endpoint import EndpointRules
from emf.serve.access.gate import Gate
from emf.serve.access.hosts import is_loopback
from emf.serve.access.keys import ENVIRONMENT, Keys, read_keys
from emf.serve.app import make_app
from emf.serve.connections import allow_descriptors
from emf.serve.operations.logs import log_as_json
from emf.serve.options import ServeOptions
from emf.serve.own_ports import OwnPort, bind_own_ports, listen_at
from emf.serve.pool.in_process import InProcessPool
from emf.serve.pool.places import Places
from emf.serve.protocols import PROTOCOLS
from emf.serve.server import Server, address_of, bind
from emf.serve.service.counters import Counters
from emf.serve.service.service import Service, ServiceLimits
from emf.serve.session.limits import SessionLimits

_NEVER_MS = 1e9
"""Sessions watch their silence themselves."""


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
        "--workers", default="0", help="Decode in this many processes; 0 decodes in the server's own. Default: 0."
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
    if flags.workers != "0":
        raise UsageError(f"expected --workers 0, found {flags.workers!r:.40}; this version decodes in its own process")
    keys = read_keys(options.api_keys, os.environ.get(ENVIRONMENT))
    _check_exposure(options, keys)
    if options.log_format == "json":
        log_as_json(logging.INFO if flags.verbose else logging.WARNING)
    allow_descriptors(options.max_connections)
    bound, own_ports = bind(options.host, options.port), bind_own_ports(options)
    decoding, endpoint = read_decoding(flags), options_from(flags, EndpointRules)
    recognizer = decoding.open(flags.artifact, endpoint=endpoint)
    engine = Engine(
        recognizer,
        deadline_ms=options.deadline_ms,
        max_streams=options.max_streams,
        max_batch=options.max_batch,
        idle_timeout_ms=_NEVER_MS,
    )
    pool = InProcessPool(recognizer, engine, Path(flags.artifact).resolve().name, options.language)
    others = {port.protocol: port.address(options) for port in own_ports}
    on_ready = _tell_addresses(flags, output, address_of(bound, options), others)
    with _runner() as runner:
        runner.run(_serve(pool, keys, options, bound, own_ports, on_ready))
    return Status.DONE


def _options(flags: argparse.Namespace) -> ServeOptions:
    given = {name: value for name, value in vars(flags).items() if name in ServeOptions.__dataclass_fields__}
    return ServeOptions(**{**given, "allow_origin": tuple(flags.allow_origin), "protocols": tuple(flags.protocols)})


async def _serve(
    pool: InProcessPool,
    keys: Keys,
    options: ServeOptions,
    bound: socket.socket,
    own_ports: list[OwnPort],
    on_ready: Callable[[], None],
) -> None:
    service = make_service(pool, keys, options)
    server = Server(service, options)
    server.listen(make_app(service, options.protocols), bound)
    listen_at(server, service, own_ports)
    await server.run(on_ready)


def make_service(pool: InProcessPool, keys: Keys, options: ServeOptions) -> Service:
    """What the protocols share, by the options."""
    counters = Counters()
    origins = frozenset(origin.rstrip("/") for origin in options.allow_origin)
    gate = Gate(keys, Places(lambda: pool.capacity), counters.refused, origins)
    sessions = SessionLimits(
        idle_timeout=options.idle_timeout, max_session=options.max_session, max_backlog=options.max_backlog
    )
    return Service(
        pool,
        gate,
        counters,
        sessions,
        ServiceLimits(resume_window=options.resume_window, max_upload=options.max_upload * 2**20),
    )


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
