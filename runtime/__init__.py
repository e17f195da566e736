"""Streaming speech recognition with an exported Emformer-RNNT, without PyTorch.

The engine's names are imported when they are first used: a process that decodes files does without.
"""

import importlib
from typing import TYPE_CHECKING

from emf.runtime.errors import (
    ArtifactError,
    ArtifactNotFound,
    AudioError,
    EmfError,
    MissingDependency,
    Overloaded,
    SnapshotError,
    StreamClosed,
    UsageError,
)
from emf.runtime.guidance.fusion import LanguageModel
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.recognition.result import Alternative, Result, Word
from emf.runtime.recognition.stream import Stream
from emf.runtime.telemetry import refuse_telemetry

if TYPE_CHECKING:
    from emf.runtime.engine.engine import Engine
    from emf.runtime.engine.handle import StreamHandle
    from emf.runtime.engine.metrics import EngineMetrics

__all__ = [
    "Alternative",
    "ArtifactError",
    "ArtifactNotFound",
    "AudioError",
    "EmfError",
    "EndpointRules",
    "Engine",
    "EngineMetrics",
    "LanguageModel",
    "MissingDependency",
    "Overloaded",
    "Recognizer",
    "Result",
    "SnapshotError",
    "Stream",
    "StreamClosed",
    "StreamHandle",
    "UsageError",
    "Word",
]

_HOMES = {
    "Engine": "emf.runtime.engine.engine",
    "EngineMetrics": "emf.runtime.engine.metrics",
    "StreamHandle": "emf.runtime.engine.handle",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


refuse_telemetry()
