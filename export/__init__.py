"""From a torchaudio Emformer-RNNT to an artifact that the runtime can use.

The names below are imported when they are first used: they bring PyTorch.
"""

import importlib
from typing import TYPE_CHECKING

from emf.runtime.telemetry import refuse_telemetry

if TYPE_CHECKING:
    from emf.export.artifact import ExportOptions, export_artifact
    from emf.export.model import load_model
    from emf.export.parity.verify import verify

__all__ = ["ExportOptions", "export_artifact", "load_model", "verify"]

_HOMES = {
    "ExportOptions": "emf.export.artifact",
    "export_artifact": "emf.export.artifact",
    "load_model": "emf.export.model",
    "verify": "emf.export.parity.verify",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


refuse_telemetry()
