"""Streaming speech recognition with an exported Emformer-RNNT, without PyTorch."""

from emf.runtime.endpoint import EndpointRules
from emf.runtime.engine import Engine
from emf.runtime.engine_metrics import EngineMetrics
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
from emf.runtime.fusion import LanguageModel
from emf.runtime.handle import StreamHandle
from emf.runtime.recognizer import Recognizer
from emf.runtime.result import Alternative, Result, Word
from emf.runtime.stream import Stream
from emf.runtime.telemetry import refuse_telemetry

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

refuse_telemetry()
