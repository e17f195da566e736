"""Ports of single protocols, for clients that can name no path, or do not speak HTTP."""

import socket
from dataclasses import dataclass

from starlette.applications import Starlette

from emf.runtime.errors import UsageError
from emf.serve.access.hosts import is_loopback
from emf.serve.options import ServeOptions
from emf.serve.protocols import OWN_PORTS, RAW, raw_handler, routes_of_own_port
from emf.serve.server import Server, bind, url_of
from emf.serve.service.service import Service


@dataclass(frozen=True, slots=True)
class OwnPort:
    """A protocol, and the socket at which it alone is served."""

    protocol: str
    bound: socket.socket

    def address(self, options: ServeOptions) -> str:
        """Where clients reach it."""
        return url_of(self.bound, "tcp" if self.protocol in RAW else "wss" if options.tls_cert else "ws")


def bind_own_ports(options: ServeOptions) -> list[OwnPort]:
    """Take the ports that are asked for.

    Raises:
        UsageError: a port is taken, its protocol is not served, or strangers would come in without a key.
    """
    asked = {name: port for name in OWN_PORTS if (port := getattr(options, f"{name}_port")) is not None}
    for name in asked:
        if name not in options.protocols:
            raise UsageError(f"expected --{name}-port with the protocol {name}; add it to --protocols")
        if name in RAW and not options.insecure and not is_loopback(options.host):
            raise UsageError(
                f"expected --insecure with --{name}-port at {options.host}: its clients can send no key; "
                "let in everybody by it, or leave the port away"
            )
    return [OwnPort(name, bind(options.host, port)) for name, port in asked.items()]


def listen_at(server: Server, service: Service, ports: list[OwnPort]) -> None:
    """Serve each protocol at its port."""
    for port in ports:
        if port.protocol in RAW:
            server.listen_raw(raw_handler(port.protocol, service), port.bound)
        else:
            server.listen(Starlette(routes=routes_of_own_port(port.protocol, service)), port.bound)
