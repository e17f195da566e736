"""The protocols that the server speaks, by their names on the command line.

A protocol is a folder with its messages, its connection and `routes`. To add one, add its line to `PROTOCOLS`. Its
clients may expect it at a port of its own, at the path `/` or without HTTP: see `OWN_PORTS` and `RAW`.
"""

import importlib
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Sequence

from starlette.routing import BaseRoute

from emf.serve.service.service import Service

PROTOCOLS = {
    "emf": "emf.serve.native.routes",
    "openai": "emf.serve.openai.routes",
    "deepgram": "emf.serve.deepgram.routes",
    "sherpa": "emf.serve.sherpa.routes",
    "vosk": "emf.serve.vosk.routes",
    "wyoming": "emf.serve.wyoming.routes",
}
"""Modules with a function `routes(service)`."""

OWN_PORTS = ("sherpa", "vosk", "wyoming")
"""Protocols that can have a port of their own. Their modules take a path, `routes(service, path)`, or are `RAW`."""

RAW = ("wyoming",)
"""Protocols over TCP alone, which cannot carry a key. Their modules have a function `handler(service)`."""


def protocol_routes(name: str, service: Service) -> Sequence[BaseRoute]:
    """The routes of a protocol, imported when it is wanted."""
    found: Sequence[BaseRoute] = importlib.import_module(PROTOCOLS[name]).routes(service)
    return found


def routes_of_own_port(name: str, service: Service) -> Sequence[BaseRoute]:
    """The routes of a protocol at its own port."""
    found: Sequence[BaseRoute] = importlib.import_module(PROTOCOLS[name]).routes(service, "/")
    return found


def raw_handler(name: str, service: Service) -> Callable[[StreamReader, StreamWriter], Awaitable[None]]:
    """What serves each connection of a protocol of `RAW`."""
    found: Callable[[StreamReader, StreamWriter], Awaitable[None]]
    found = importlib.import_module(PROTOCOLS[name]).handler(service)
    return found
