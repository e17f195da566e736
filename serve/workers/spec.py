"""What a worker decodes with, as a value that can be sent to it."""

from pathlib import Path
from typing import Any

from msgspec import Struct

from emf.runtime.engine.engine import Engine
from emf.runtime.engine.options import EngineOptions
from emf.runtime.guidance.fusion import LanguageModel
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.options import RecognizerOptions
from emf.serve.pool.in_process import InProcessPool

_NEVER_MS = 1e9
"""Sessions watch their silence themselves."""


class LanguageModelFile(Struct, frozen=True):
    """See `LanguageModel.read`."""

    path: str
    weight: float
    word_score: float


class WorkerSpec(Struct, frozen=True):
    """What a worker opens.

    Attributes:
        artifact: folder.
        options: fields of `RecognizerOptions` that are not as by default.
        engine: fields of `EngineOptions` that are not as by default.
        phrases: that are likelier, with their scores.
        language_model: of words.
        endpoint: when segments end; `None` finds no ends.
        language: of the model.
    """

    artifact: str
    options: dict[str, Any] = {}
    engine: dict[str, Any] = {}
    phrases: dict[str, float] = {}
    language_model: LanguageModelFile | None = None
    endpoint: EndpointRules | None = None
    language: str = "en"

    def open(self, beyond_capacity: bool = False) -> InProcessPool:
        """The recognizer and its engine, ready to decode; see `InProcessPool`.

        Raises:
            EmfError: the artifact, an option or a file makes no sense.
        """
        model, found = None, self.language_model
        if found is not None:
            model = LanguageModel.read(Path(found.path), found.weight, found.word_score)
        decoding = Decoding(RecognizerOptions(**self.options), self.phrases, model)
        recognizer = decoding.open(Path(self.artifact), endpoint=self.endpoint)
        options = EngineOptions(**{"idle_timeout_ms": _NEVER_MS, **self.engine})
        engine = Engine(
            recognizer,
            deadline_ms=options.deadline_ms,
            max_streams=options.max_streams,
            max_batch=options.max_batch,
            idle_timeout_ms=options.idle_timeout_ms,
        )
        name = Path(self.artifact).resolve().name
        return InProcessPool(recognizer, engine, name, self.language, beyond_capacity)
