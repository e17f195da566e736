"""How an artifact is decoded, as a value that can be sent to another process."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emf.runtime.artifact.variant import Variant
from emf.runtime.guidance.fusion import LanguageModel
from emf.runtime.inference.instrument import Instrument
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.recognition.recognizer import Recognizer


@dataclass(frozen=True, slots=True)
class Decoding:
    """Everything but the artifact that a recognizer is opened with.

    Attributes:
        options: of the recognizer.
        phrases: phrases that are likelier, each with the natural logarithm that it adds to a transcript.
        language_model: of words.
    """

    options: RecognizerOptions = field(default_factory=RecognizerOptions)
    phrases: Mapping[str, float] = field(default_factory=dict)
    language_model: LanguageModel | None = None

    def of_variant(self, variant: Variant) -> "Decoding":
        """The same decoding with another variant."""
        return replace(self, options=self.options.of_variant(variant))

    def with_options(self, **changes: Any) -> "Decoding":
        """The same decoding with some options changed."""
        return replace(self, options=replace(self.options, **changes))

    def open(
        self, artifact: Path, *, endpoint: EndpointRules | None = None, instrument: Instrument | None = None
    ) -> Recognizer:
        """The recognizer; see `Recognizer.load`."""
        return Recognizer.open(
            artifact,
            self.options,
            phrases=self.phrases,
            language_model=self.language_model,
            endpoint=endpoint,
            instrument=instrument,
        )
