"""The decoding that figures were measured with, as reports state it."""

import math
from dataclasses import dataclass, fields

from emf.runtime.artifact.manifest import Manifest
from emf.runtime.guidance.fusion import LanguageModel
from emf.runtime.recognition.decoding import Decoding


@dataclass(frozen=True, slots=True)
class LanguageModelUsed:
    """A language model: SHA-256 of its n-grams, their order, and what it counts."""

    sha256: str
    order: int
    weight: float
    word_score: float

    @classmethod
    def of(cls, model: LanguageModel) -> "LanguageModelUsed":
        """Name a language model."""
        return cls(model.ngrams.fingerprint, model.ngrams.order, model.weight, model.word_score)


@dataclass(frozen=True, slots=True)
class DecodingUsed:
    """How something was decoded: `RecognizerOptions` with the artifact's and the machine's defaults filled in.

    `None` is what `RecognizerOptions` means by it; a threshold of `None` keeps all hypotheses. Of phrases only the
    number is stated: they may be private.
    """

    method: str
    beam_width: int
    num_threads: int
    frontend: str
    beam_threshold: float | None = None
    temperature: float = 1.0
    blank_penalty: float | None = None
    step_max_tokens: int = 100
    stable_delay: float | None = None
    tail_padding: float | None = None
    phrases: int = 0
    language_model: LanguageModelUsed | None = None

    @classmethod
    def of(cls, decoding: Decoding, manifest: Manifest) -> "DecodingUsed":
        """State a decoding of an artifact."""
        options, model = decoding.options, decoding.language_model
        return cls(
            method=options.decoding_method,
            beam_width=options.beam_width,
            num_threads=options.threads,
            frontend=options.frontend or manifest.frontend.default,
            beam_threshold=options.beam_threshold if math.isfinite(options.beam_threshold) else None,
            temperature=options.temperature,
            blank_penalty=options.blank_penalty,
            step_max_tokens=options.step_max_tokens,
            stable_delay=options.stable_delay,
            tail_padding=options.tail_padding,
            phrases=len(decoding.phrases),
            language_model=LanguageModelUsed.of(model) if model else None,
        )

    @property
    def unusual(self) -> dict[str, object]:
        """The options that have another value than usual, by name."""
        optional = fields(self)[4:]
        values = {one.name: (getattr(self, one.name), one.default) for one in optional}
        found = {name: value for name, (value, default) in values.items() if value != default}
        if self.language_model is not None:
            found["language_model"] = f"order {self.language_model.order}, weight {self.language_model.weight:g}"
        return found
