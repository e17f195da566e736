"""Live speech over the network: a server, and a client that needs neither an engine nor the server's packages."""

import importlib
from typing import TYPE_CHECKING

from emf.runtime.telemetry import refuse_telemetry

if TYPE_CHECKING:
    from emf.serve.client import Transcriber

__all__ = ["Transcriber"]

_HOMES = {"Transcriber": "emf.serve.client"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


refuse_telemetry()
