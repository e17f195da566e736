"""A corpus transcribed by this process."""

from collections.abc import Generator, Sequence

from emf.runtime.corpus.job import Item, Job, Outcome


def transcribe_here(job: Job, items: Sequence[Item]) -> Generator[Sequence[Outcome], None, None]:
    """Transcribe the items with a recognizer of this process, in its threads."""
    recognizer = job.open()
    for outcome in job.transcribe(recognizer, ((item, job.read(item.path)) for item in items)):
        yield (outcome,)
