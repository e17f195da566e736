"""The loop over a corpus: what has no row yet goes to workers, what comes back is written."""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emf.runtime.corpus.job import Item, Job, Outcome
from emf.runtime.corpus.journal import Journal
from emf.runtime.speech.utterances import Utterance

Workers = Callable[[Job, Sequence[Item]], Generator[Sequence[Outcome], None, None]]
"""Transcribes items and gives what came of them, in any order, at the latest when all are done.

It cleans up when it is closed before its end. It may give an outcome twice.
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come: recordings and seconds of audio since it began, and how long that took."""

    done: int
    audio_s: float
    elapsed_s: float

    @property
    def hours_per_hour(self) -> float:
        """Hours of audio in an hour."""
        return self.audio_s / self.elapsed_s if self.elapsed_s else 0.0


def waiting_items(utterances: Sequence[Utterance], done: Counter[str]) -> list[Item]:
    """The recordings that have no row yet. One that is listed several times has as many rows."""
    left, items = done.copy(), []
    for number, utterance in enumerate(utterances):
        path = absolute(utterance.path)
        if left[str(path)]:
            left[str(path)] -= 1
        else:
            items.append(Item(number, path))
    return items


def absolute(path: Path) -> Path:
    """The path from the root, by which rows name a recording wherever the command is run; links stay."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")


def transcribe_corpus(
    job: Job,
    utterances: Sequence[Utterance],
    journal: Journal,
    workers: Workers,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Transcribe the recordings that have no row yet, and write a row for each.

    Args:
        job: how.
        utterances: all recordings.
        journal: the rows; those that are there stay.
        workers: who does it.
        on_progress: called after rows were written.

    Returns:
        What was done in this run.
    """
    items = waiting_items(utterances, journal.done)
    begin, left, audio_s = time.monotonic(), {item.number for item in items}, 0.0
    progress = Progress(0, 0.0, 0.0)
    if not items:
        return progress
    with contextlib.closing(workers(job, items)) as outcomes:
        for batch in outcomes:
            new = {outcome.number: outcome for outcome in batch if outcome.number in left}
            left -= new.keys()
            journal.append([_row(outcome, utterances[number]) for number, outcome in new.items()])
            audio_s += sum(outcome.document.get("duration_s", 0.0) for outcome in new.values())
            progress = Progress(len(items) - len(left), audio_s, time.monotonic() - begin)
            on_progress(progress)
    return progress


def _row(outcome: Outcome, utterance: Utterance) -> dict[str, object]:
    return outcome.document if utterance.transcript is None else {**outcome.document, "reference": utterance.transcript}
