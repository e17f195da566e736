"""Large batches decoded by several threads, each with streams of its own.

Within one call of the model, threads wait for each other after every operator, and while one thread searches the
others are idle. Threads that decode apart do neither: on two cores they carry half as many streams again.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import TypeVar

from emf.runtime.artifact.manifest import Manifest
from emf.runtime.inference.home_process import HomeProcess
from emf.runtime.inference.instrument import Instrument
from emf.runtime.inference.session import PARALLEL_BACKENDS
from emf.runtime.inference.transducer import Transducer, load_graphs, open_transducer
from emf.runtime.recognition.options import RecognizerOptions

_MOST_STREAMS = 16
"""Streams decoded by one thread at once: more gain little and move more memory."""

T = TypeVar("T")
R = TypeVar("R")


class ThreadCrew:
    """Threads that share one model, every call of which runs on its caller's thread.

    Args:
        num_threads: size of the crew.
        open_transducer: opens that model, when the first batch needs it.
    """

    def __init__(self, num_threads: int, open_transducer: Callable[[], Transducer]) -> None:
        self.num_threads, self._home = num_threads, HomeProcess()
        self._opening = Lock()
        self._open: Callable[[], Transducer] | None = open_transducer
        self._transducer: Transducer | None = None
        self._pool = ThreadPoolExecutor(num_threads, "emf-crew")

    @property
    def transducer(self) -> Transducer:
        """The model, opened once.

        Raises:
            UsageError: this process was forked from the crew's.
        """
        self._home.check("a recognizer of several threads")
        with self._opening:
            if self._open is not None:
                self._transducer = self._open()
                self._open = None  # with the graphs that it holds in memory
            assert self._transducer is not None
            return self._transducer

    def is_worth(self, num_streams: int) -> bool:
        """Whether there is a stream for every thread: fewer are decoded sooner by all threads together."""
        return num_streams >= self.num_threads

    def groups(self, items: Sequence[T]) -> list[Sequence[T]]:
        """Cut a batch into even groups, a whole number for every thread."""
        rounds = -(-len(items) // (_MOST_STREAMS * self.num_threads))
        count = min(len(items), rounds * self.num_threads)
        ends = [len(items) * group // count for group in range(count + 1)]
        return [items[begin:end] for begin, end in pairwise(ends)]

    def run(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Do the work for every item; the first error is raised when all have ended."""
        self._home.check("a recognizer of several threads")
        futures = [self._pool.submit(work, item) for item in items]
        errors = [error for future in futures if (error := future.exception())]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]


def open_with_crew(
    manifest: Manifest, options: RecognizerOptions, instrument: Instrument | None = None
) -> tuple[Transducer, ThreadCrew | None]:
    """The model, and the crew for it where the backend serves several threads at once; none with an instrument."""
    variant = options.variant(manifest)
    open_model = partial(
        open_transducer,
        manifest,
        variant,
        # Absolute: OpenVINO uses it again when it meets a new size of batch, wherever the process is by then.
        cache_dir=None if options.cache_dir is None else Path(options.cache_dir).absolute(),
        beam_width=options.hypotheses,
    )
    crew = None
    if variant.backend in PARALLEL_BACKENDS and options.threads > 1 and instrument is None:
        # Read once: the crew opens later what is opened now, whatever has become of the folder.
        open_model = partial(open_model, loaded=load_graphs(manifest, variant))
        crew = ThreadCrew(options.threads, partial(open_model, num_threads=1))
    return open_model(num_threads=options.threads, instrument=instrument), crew
