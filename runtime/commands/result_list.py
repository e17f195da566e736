"""What came of each recording of emf-transcribe: printed, reported where it failed, and kept for the end."""

import logging
from collections.abc import Sequence
from pathlib import Path

from emf.runtime.commands.command_line import Status
from emf.runtime.commands.terminal import one_line
from emf.runtime.commands.transcript_forms import Entry, Form, Results
from emf.runtime.speech.transcription import Failure, Transcription

_LOGGER = logging.getLogger(__name__)


class ResultList:
    """The results of recordings that are known by their place on the command line."""

    def __init__(self, paths: Sequence[Path], references: Sequence[str] | None) -> None:
        """Expect these recordings; `references` are their transcripts."""
        self._paths = paths
        self._references = references
        self._entries: dict[int, Entry] = {}
        self._decoding_s = 0.0

    def fail(self, place: int, error: Exception) -> None:
        """Report a recording that cannot be read."""
        message, name = one_line(error), str(self._paths[place])
        _LOGGER.error("%s", message if name in message else f"{name}: {message}")
        self._entries[place] = self._entry(place, Failure(self._paths[place], error))

    def add(self, places: Sequence[int], found: Sequence[Transcription | Failure], seconds: float, form: Form) -> None:
        """Print what was found in recordings that were decoded together.

        Args:
            places: of the recordings.
            found: in each of them.
            seconds: spent decoding them.
            form: to print in.
        """
        self._decoding_s += seconds
        for place, one in zip(places, found, strict=True):
            if isinstance(one, Failure):
                self.fail(place, one.error)
            else:
                self._entries[place] = self._entry(place, one)
                form.add(self._entries[place])

    def _entry(self, place: int, found: Transcription | Failure) -> Entry:
        return Entry(found, None if self._references is None else self._references[place])

    @property
    def waiting(self) -> list[int]:
        """Places of the recordings of which nothing is known yet."""
        return [place for place in range(len(self._paths)) if place not in self._entries]

    def end(self, form: Form) -> Status:
        """Print the end, if anything was transcribed, and say how it went."""
        results = Results([self._entries[place] for place in sorted(self._entries)], self._decoding_s)
        num_failed = len(results.entries) - len(results.transcriptions)
        if results.transcriptions:
            form.end(results)
        if num_failed and len(self._paths) > 1:
            _LOGGER.error("%d of %d recordings could not be transcribed", num_failed, len(self._paths))
        if not num_failed:
            return Status.DONE
        return Status.FAILED if results.transcriptions else Status.BAD_INPUT
