"""Where emf-serve decodes, by its flags: this process, or workers."""

import argparse
import os
import re
from pathlib import Path

from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.tokens import load_tokens
from emf.runtime.commands.option_flags import options_from
from emf.runtime.errors import UsageError
from emf.runtime.guidance.fusion import DEFAULT_WEIGHT
from emf.runtime.guidance.phrases import read_phrases
from emf.runtime.inference.threads import available_processors
from emf.runtime.options import stated_options
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.options import RecognizerOptions
from emf.serve.failover.elastic_pool import Elasticity, Scaler
from emf.serve.failover.worker_pool import WorkerPool
from emf.serve.options import ServeOptions
from emf.serve.pool.pool_observer import PoolObserver
from emf.serve.pool.stream_pool import StreamPool
from emf.serve.workers.cores import own_cores
from emf.serve.workers.link import Launcher
from emf.serve.workers.process import ProcessLauncher
from emf.serve.workers.spec import LanguageModelFile, WorkerSpec

AUTO = "auto"
_MOST_WORKERS = 1024
_RAY = "ray:"


def number_of_workers(text: str, threads: int) -> int:
    """Processes to decode in; 0 for none but the server's own.

    Args:
        text: a number, or `auto` for as many as there are processors for.
        threads: of each.

    Raises:
        UsageError: it is neither.
    """
    if os.name == "nt" and text == AUTO:
        return 0  # workers need sockets that are inherited
    if text == AUTO:
        return max(available_processors() // threads, 1)
    if text.isascii() and text.isdigit() and int(text) <= _MOST_WORKERS:
        return int(text)
    raise UsageError(f"expected --workers auto, or from 0 to {_MOST_WORKERS}, or ray:N, found {text!r:.40}")


def number_of_actors(text: str) -> Elasticity:
    """Least and most workers of a cluster: `4` for as many, `2-8` for what the streams need.

    Raises:
        UsageError: it is neither.
    """
    found = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", text)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= least <= most <= _MOST_WORKERS:
        raise UsageError(f"expected --workers ray:N or ray:LEAST-MOST, from 1 to {_MOST_WORKERS}, found ray:{text:.40}")
    return Elasticity(least, most)


async def open_pool(flags: argparse.Namespace, options: ServeOptions, observer: PoolObserver) -> StreamPool:
    """The pool that the flags of emf-serve ask for, ready to decode.

    Raises:
        EmfError: the artifact or a flag makes no sense.
    """
    threads: int | None = options.threads_per_worker or getattr(flags, "num_threads", None)
    if flags.workers.startswith(_RAY):
        return await _open_on_ray(flags, options, observer, threads or 1)
    count = number_of_workers(flags.workers, threads or 1)
    if not count:
        return worker_spec(flags, options, threads).open()
    spec = worker_spec(flags, options, threads or 1, count)
    return await _start(flags, options, observer, ProcessLauncher(spec, own_cores(count, threads or 1)), count)


async def _open_on_ray(
    flags: argparse.Namespace, options: ServeOptions, observer: PoolObserver, threads: int
) -> StreamPool:
    elasticity = number_of_actors(flags.workers.removeprefix(_RAY))
    from emf.serve.cluster.ray_launcher import RayLauncher

    launcher = RayLauncher(worker_spec(flags, options, threads, elasticity.least), threads)
    pool = await _start(flags, options, observer, launcher, elasticity.least)
    if elasticity.most > elasticity.least:
        pool.accompany(Scaler(pool, elasticity).run())
    return pool


async def _start(
    flags: argparse.Namespace, options: ServeOptions, observer: PoolObserver, launcher: Launcher, count: int
) -> WorkerPool:
    pool = WorkerPool(
        launcher,
        count,
        load_tokens(read_manifest(flags.artifact)),
        Path(flags.artifact).resolve().name,
        options.language,
        options.max_streams,
        options.worker_timeout,
        observer,
    )
    await pool.start()
    return pool


def worker_spec(flags: argparse.Namespace, options: ServeOptions, threads: int | None, workers: int = 1) -> WorkerSpec:
    """What each of several workers opens.

    Raises:
        UsageError: a file is missing or malformed, or flags contradict each other.
    """
    recognizer = options_from(flags, RecognizerOptions)
    given = {name: getattr(recognizer, name) for name in stated_options(RecognizerOptions) if name in vars(flags)}
    given |= {"num_threads": threads} if threads is not None else {}
    if given.get("cache_dir") is not None:
        given["cache_dir"] = str(Path(given["cache_dir"]).absolute())
    most = None if options.max_streams is None else -(-options.max_streams // workers)
    return WorkerSpec(
        artifact=str(Path(flags.artifact).absolute()),
        options=given,
        engine={
            "deadline_ms": options.deadline_ms,
            "max_streams": most,
            "max_batch": min(options.max_batch, most or options.max_batch),
        },
        phrases=dict(read_phrases(flags.phrases)) if flags.phrases else {},
        language_model=_language_model(flags),
        endpoint=options_from(flags, EndpointRules),
        language=options.language,
    )


def _language_model(flags: argparse.Namespace) -> LanguageModelFile | None:
    weight, word_score = flags.language_model_weight, flags.word_score
    if flags.language_model is None:
        if weight is not None or word_score is not None:
            raise UsageError("expected --language-model with its weight or --word-score; name an ARPA file")
        return None
    path = str(Path(flags.language_model).absolute())
    return LanguageModelFile(path, DEFAULT_WEIGHT if weight is None else weight, word_score or 0.0)
