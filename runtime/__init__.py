"""Streaming speech recognition with an exported Emformer-RNNT, without PyTorch."""

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
