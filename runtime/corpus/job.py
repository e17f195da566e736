"""What a worker is told to do with recordings, as a value that can be sent to it, and what comes of one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emf.runtime.audio.sound_files import read_blocks
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.speech.transcription import Blocks, Failure, transcribe_all


@dataclass(frozen=True, slots=True)
class Item:
    """A recording that waits: its number in the corpus, and where it lies."""

    number: int
    path: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a recording.

    Attributes:
        number: of the `Item`.
        document: `path`, and what `Transcription.as_document` says or the `error`.
    """

    number: int
    document: dict[str, Any]

    @classmethod
    def failed(cls, item: Item, error: str) -> "Outcome":
        """Of a recording that gave no text."""
        return cls(item.number, {"path": str(item.path), "error": error})


@dataclass(frozen=True, slots=True)
class Job:
    """How recordings are transcribed.

    Attributes:
        artifact: folder of the model.
        decoding: how it is decoded.
        endpoint: rules that cut a recording into segments.
        channel: the channel to take, from 0; `None` takes the mean of all.
        width: recordings that a worker decodes together.
    """

    artifact: Path
    decoding: Decoding
    endpoint: EndpointRules | None = None
    channel: int | None = None
    width: int = 8

    def with_threads(self, num_threads: int) -> "Job":
        """The same job with so many threads."""
        return replace(self, decoding=self.decoding.with_options(num_threads=num_threads))

    def open(self) -> Recognizer:
        """The recognizer that does the job; see `Recognizer.load`."""
        return self.decoding.open(self.artifact, endpoint=self.endpoint)

    def read(self, path: Path) -> Blocks:
        """The audio of a recording."""
        return read_blocks(path, self.channel)

    def transcribe(self, recognizer: Recognizer, recordings: Iterable[tuple[Item, Blocks] | None]) -> Iterator[Outcome]:
        """What comes of each recording, in the order in which they end.

        Args:
            recognizer: from `open`.
            recordings: taken when there is room; for `None` see `transcribe_all`.
        """
        taken: list[Item] = []

        def named() -> Iterator[tuple[Path, Blocks] | None]:
            for one in recordings:
                if one is None:
                    yield None
                    continue
                item, blocks = one
                taken.append(item)
                yield item.path, blocks

        for place, found in transcribe_all(recognizer, named(), self.width):
            if isinstance(found, Failure):
                yield Outcome.failed(taken[place], " ".join(str(found.error).split()) or type(found.error).__name__)
            else:
                yield Outcome(taken[place].number, found.as_document())
