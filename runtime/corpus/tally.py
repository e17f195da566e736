"""What the rows of a corpus come to: recordings, hours of audio, word error rate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emf.runtime.speech.error_rate import EditCounts, word_errors


@dataclass(slots=True)
class Tally:
    """Counts over rows, which are not kept.

    Attributes:
        transcribed: recordings that gave a text.
        failed: recordings that gave an error.
        audio_s: seconds of audio of the former.
        errors: words of those that have a reference.
        num_references: how many have one.
    """

    transcribed: int = 0
    failed: int = 0
    audio_s: float = 0.0
    errors: EditCounts = field(default_factory=EditCounts)
    num_references: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row."""
        if "error" in row:
            self.failed += 1
            return
        self.transcribed += 1
        self.audio_s += row["duration_s"]
        if row.get("reference") is not None:
            self.num_references += 1
            self.errors += word_errors([(row["reference"], row["text"])])

    @property
    def rows(self) -> int:
        """All of them."""
        return self.transcribed + self.failed

    @property
    def word_error_rate(self) -> float | None:
        """Of the recordings that gave a text; `None` where none has a reference."""
        return self.errors.rate if self.num_references else None
