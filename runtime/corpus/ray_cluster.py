"""A corpus transcribed by a Ray cluster: Ray Data over the machines, each actor with a recognizer of its own.

Source: Ray Data 2.60, `Dataset.map_batches` with a class. Nothing else imports Ray.
"""

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from emf.runtime.audio.sound_files import decode_sound
from emf.runtime.corpus.job import Item, Job, Outcome
from emf.runtime.errors import EmfError, MissingDependency
from emf.runtime.speech.transcription import Blocks

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report its use

try:
    import ray
    import ray.data
    from ray.util.annotations import RayDeprecationWarning
except ImportError as error:
    raise MissingDependency.of("--cluster ray", "ray", "ray") from error

Columns = dict[str, Any]
"""Of a batch of rows, as Ray Data passes them: an array a column."""

_BLOCKS_PER_WIDTH = 2
_TRIES = 2
_OWN = f"{EmfError.__module__}."
_NODE_LABEL = "ray.io/node-id"


class Transcriber:
    """The actor: a recognizer, and batches of recordings for it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._recognizer = job.open()

    def __call__(self, batch: Columns) -> Columns:
        """What came of a batch: the recordings' numbers, and their documents as JSON."""
        paths = [Path(os.fsdecode(path)) for path in batch["path"]]
        items = [Item(int(number), path) for number, path in zip(batch["number"], paths, strict=True)]
        sounds = batch.get("sound", [None] * len(items))
        recordings = [(item, self._read(item, sound)) for item, sound in zip(items, sounds, strict=True)]
        outcomes = list(self._job.transcribe(self._recognizer, recordings))
        return {
            "number": np.array([outcome.number for outcome in outcomes]),
            "document": np.array([json.dumps(outcome.document) for outcome in outcomes], object),
        }

    def _read(self, item: Item, sound: bytes | None) -> Blocks:
        if sound is None:
            return self._job.read(item.path)
        return decode_sound(BytesIO(sound), item.path, self._job.channel)


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Where to find the cluster, and how to use it.

    Attributes:
        address: of the cluster; `None` takes the one that runs here, or begins one of this machine alone.
        num_workers: actors; `None` takes as many as the processors of the cluster have room for.
        send_audio: whether this machine reads the recordings and sends them.
    """

    address: str | None = None
    num_workers: int | None = None
    send_audio: bool = False

    def transcribe(self, job: Job, items: Sequence[Item]) -> Generator[Sequence[Outcome], None, None]:
        """Transcribe the items with actors of the cluster.

        The work of an actor or a machine that is lost is done again by others. What is then still missing is tried
        once more, a recording at a time, and then given up.

        Raises:
            EmfError: there is no such cluster, or an actor cannot open the model.
        """
        job = job if job.decoding.options.num_threads else job.with_threads(1)
        left = {item.number: item for item in items}
        with _connected(self.address):
            for size in (job.width * _BLOCKS_PER_WIDTH, 1):
                for batch in self._run(job, list(left.values()), size) if left else ():
                    outcomes = list(_outcomes(batch))
                    for outcome in outcomes:
                        left.pop(outcome.number, None)
                    yield outcomes
        yield [
            Outcome.failed(item, f"{item.path}: no actor gave a result, however often it was tried; see Ray's log")
            for item in left.values()
        ]

    def _run(self, job: Job, items: Sequence[Item], size: int) -> Iterator[Columns]:
        """Batches of what came of the items, `size` recordings each, as they are done."""
        threads = job.decoding.options.threads
        most = self.num_workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
        most = min(most, -(-len(items) // size))
        at_hand = 1 if size == 1 else None  # a recording that kills its actor takes no other one along
        actors = ray.data.ActorPoolStrategy(
            min_size=1, max_size=most, initial_size=most, max_tasks_in_flight_per_actor=at_hand
        )
        rows = [{"number": item.number, "path": os.fsencode(item.path)} for item in items]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RayDeprecationWarning)  # retries have no other name yet
            data = ray.data.from_items(rows, override_num_blocks=-(-len(items) // size))
            if self.send_audio:
                here = {_NODE_LABEL: ray.get_runtime_context().get_node_id()}
                data = data.map_batches(_with_sounds, batch_size=None, num_cpus=0, label_selector=here)
            data = data.map_batches(
                Transcriber,
                fn_constructor_args=(job,),
                batch_size=None,
                compute=actors,
                num_cpus=threads,
                max_restarts=-1,
                max_task_retries=_TRIES - 1,
            )
            yield from data.iter_batches(batch_size=None, prefetch_batches=0)


def _outcomes(batch: Columns) -> Iterator[Outcome]:
    for number, document in zip(batch["number"], batch["document"], strict=True):
        yield Outcome(int(number), json.loads(document))


def _with_sounds(batch: Columns) -> Columns:
    """Read the recordings of a batch, whatever they hold; one that cannot be read is left to the actor's own error."""
    return {**batch, "sound": np.array([_content(Path(os.fsdecode(path))) for path in batch["path"]], object)}


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Be a driver of the cluster for a while; Ray's loggers say nothing meanwhile."""
    quiet = logging.root.manager.disable
    logging.disable(logging.ERROR)  # what matters comes as an exception
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        yield
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise EmfError(f"the cluster {address or 'of this machine'} failed: {_cause(error)}") from error
    finally:
        ray.shutdown()
        logging.disable(quiet)


def _cause(error: BaseException) -> str:
    """What went wrong, in a line: an error of this project that a traceback of Ray ends in, or its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = [line.removeprefix(_OWN).partition(": ")[2] for line in lines if line.startswith(_OWN)]
    return [type(error).__name__, *lines, *own][-1]
