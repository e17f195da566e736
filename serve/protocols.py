"""The protocols that the server speaks, by their names on the command line.

A protocol is a folder with its messages, its connection and `routes`. To add one, add its line to `PROTOCOLS`.
"""

import importlib
from collections.abc import Sequence

from starlette.routing import BaseRoute

from emf.serve.service.service import Service

PROTOCOLS = {
    "emf": "emf.serve.native.routes",
}
"""Modules with a function `routes(service)`."""


def protocol_routes(name: str, service: Service) -> Sequence[BaseRoute]:
    """The routes of a protocol, imported when it is wanted."""
    found: Sequence[BaseRoute] = importlib.import_module(PROTOCOLS[name]).routes(service)
    return found
