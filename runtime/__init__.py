"""Streaming speech recognition with an exported Emformer-RNNT, without PyTorch."""

from emf.runtime.endpoint import EndpointRules
from emf.runtime.errors import (
    ArtifactError,
    ArtifactNotFound,
    AudioError,
    EmfError,
    MissingDependency,
    SnapshotError,
    UsageError,
)
from emf.runtime.recognizer import Recognizer
from emf.runtime.result import Alternative, Result, Word
from emf.runtime.stream import Stream

__all__ = [
    "Alternative",
    "ArtifactError",
    "ArtifactNotFound",
    "AudioError",
    "EmfError",
    "EndpointRules",
    "MissingDependency",
    "Recognizer",
    "Result",
    "SnapshotError",
    "Stream",
    "UsageError",
    "Word",
]
