"""Streaming speech recognition with an exported Emformer-RNNT, without PyTorch.

The names below are imported when they are first used: a command can then answer Ctrl-C from its first moment on.
"""

import importlib
from typing import TYPE_CHECKING

from emf.runtime.telemetry import refuse_telemetry

if TYPE_CHECKING:
    from emf.runtime.engine.engine import Engine
    from emf.runtime.engine.handle import StreamHandle
    from emf.runtime.engine.metrics import EngineMetrics
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
    "Alternative": "emf.runtime.recognition.result",
    "ArtifactError": "emf.runtime.errors",
    "ArtifactNotFound": "emf.runtime.errors",
    "AudioError": "emf.runtime.errors",
    "EmfError": "emf.runtime.errors",
    "EndpointRules": "emf.runtime.recognition.endpoint",
    "Engine": "emf.runtime.engine.engine",
    "EngineMetrics": "emf.runtime.engine.metrics",
    "LanguageModel": "emf.runtime.guidance.fusion",
    "MissingDependency": "emf.runtime.errors",
    "Overloaded": "emf.runtime.errors",
    "Recognizer": "emf.runtime.recognition.recognizer",
    "Result": "emf.runtime.recognition.result",
    "SnapshotError": "emf.runtime.errors",
    "Stream": "emf.runtime.recognition.stream",
    "StreamClosed": "emf.runtime.errors",
    "StreamHandle": "emf.runtime.engine.handle",
    "UsageError": "emf.runtime.errors",
    "Word": "emf.runtime.recognition.result",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


refuse_telemetry()
