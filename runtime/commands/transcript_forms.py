"""The forms in which emf-transcribe prints what it hears: text as it comes, one JSON object, subtitles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from emf.runtime.commands.terminal import Output, one_line
from emf.runtime.recognition.result import Word
from emf.runtime.speech.error_rate import word_errors
from emf.runtime.speech.subtitles import join_documents
from emf.runtime.speech.transcription import Failure, Transcription


@dataclass(frozen=True)
class Entry:
    """What came of one recording, and its transcript where one was given."""

    found: Transcription | Failure
    reference: str | None


@dataclass(frozen=True)
class Results:
    """What came of all recordings.

    Attributes:
        entries: one a recording that was tried, in order.
        decoding_s: seconds spent decoding.
    """

    entries: Sequence[Entry]
    decoding_s: float

    @property
    def transcriptions(self) -> list[Transcription]:
        """Of the recordings that could be read."""
        return [entry.found for entry in self.entries if isinstance(entry.found, Transcription)]

    @property
    def real_time_factor(self) -> float:
        """Seconds of decoding for a second of audio."""
        audio_s = sum(transcription.duration_s for transcription in self.transcriptions)
        return self.decoding_s / audio_s if audio_s else 0.0

    @property
    def word_error_rate(self) -> float | None:
        """Of the recordings that could be read; `None` without transcripts to compare with."""
        found = [(e.reference, e.found.text) for e in self.entries if isinstance(e.found, Transcription)]
        pairs = [(reference, text) for reference, text in found if reference is not None]
        return word_errors(pairs).rate if pairs else None


class Form(Protocol):
    """Prints results: each when it comes, or all at the end."""

    def add(self, entry: Entry) -> None:
        """Take an entry."""

    def end(self, results: Results) -> None:
        """Take all of them, at the end."""


class TextForm:
    """The text alone of one recording; of several, a line each with its name, then totals."""

    def __init__(self, output: Output, alone: bool) -> None:
        self._output = output
        self._alone = alone

    def add(self, entry: Entry) -> None:
        """Print the text, and the reference below it."""
        if isinstance(entry.found, Failure):
            return
        path = entry.found.path
        self._output.text(entry.found.text if self._alone else f"{path}: {entry.found.text}")
        if entry.reference is not None:
            self._output.text(f"{' ' * (len(str(path)) - 3)}ref: {entry.reference}")

    def end(self, results: Results) -> None:
        """Print the totals."""
        if not self._alone:
            self._output.text(f"real-time factor {results.real_time_factor:.3f}")
        if results.word_error_rate is not None:
            self._output.text(f"word error rate {100 * results.word_error_rate:.2f} %")


class JsonForm:
    """One JSON object at the end."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def add(self, entry: Entry) -> None:
        """Print nothing yet."""

    def end(self, results: Results) -> None:
        """Print the object."""
        entries = [_document(entry) for entry in results.entries]
        document: dict[str, Any] = {"results": entries, "rtf": results.real_time_factor}
        if results.word_error_rate is not None:
            document["wer"] = results.word_error_rate
        self._output.document(document)


def _document(entry: Entry) -> dict[str, Any]:
    if isinstance(entry.found, Failure):
        document = {"path": str(entry.found.path), "error": one_line(entry.found.error)}
    else:
        document = entry.found.as_document()
    return document if entry.reference is None else {**document, "reference": entry.reference}


class SubtitleForm:
    """Subtitles at the end: a document of each recording."""

    def __init__(self, output: Output, spell: Callable[[Sequence[Word], float], str]) -> None:
        self._output = output
        self._spell = spell

    def add(self, entry: Entry) -> None:
        """Print nothing yet."""

    def end(self, results: Results) -> None:
        """Print the subtitles."""
        documents = [(str(t.path), self._spell(t.words, t.duration_s)) for t in results.transcriptions]
        self._output.text(join_documents(documents).rstrip("\n"))
