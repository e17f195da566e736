"""What a worker process and the process that started it send each other.

Downwards a `Setup`, then every `Item`; the end of the connection is the end of the work. Upwards a `Ready`, then every
`Outcome`; or `Refused` instead.
"""

from dataclasses import dataclass

from emf.runtime.corpus.job import Job
from emf.runtime.errors import EmfError


@dataclass(frozen=True, slots=True)
class Setup:
    """The job, and the processors that the worker keeps to; empty for all of them."""

    job: Job
    processors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is open."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The model cannot be opened."""

    error: EmfError
