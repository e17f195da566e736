"""Measure what one and two workers take on this machine, fit the model of capacity, and say what others would carry.

Example:
    python tools/model_capacity.py artifacts/base --audio speech/manifest.tsv --precision int8 --decoding-method beam

Three kinds of workers decode steps of several numbers of streams: one process of one thread, two such processes at the
same time, one process of two threads. `--cores 4 8` also measures four and eight processes of one thread, and one of
four and eight threads, to compare with what the model expects of them. See `capacity_model.py` for the model and
`capacity_simulation.py` for the load that is simulated. `--out` keeps what was measured, `--measured` takes it from
there.
"""

import argparse
import itertools
import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from capacity_model import Measured, StepCost, fit
from capacity_simulation import Machine, capacity

from emf.runtime import Recognizer
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.measure.bandwidth import measure_bandwidth
from emf.runtime.measure.floor import ChunkWork
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.speech.recordings import read_recordings

STREAMS = (1, 8, 16, 32)
ROUNDS, STEPS, WARM_UP_STEPS = 3, 9, 2
AUDIO_SECONDS = 5
CORES = (2, 8, 16, 32, 96)
BANDWIDTHS = (5, 10, 20, 40, 80, 160, 320)
FRONT_SHARE = 0.6
GIGA = 1e9


def time_steps(
    options: dict[str, Any], speech: Sequence[Path], cores: Sequence[int], connection: "Connection[Any, Any]"
) -> None:
    """A worker: for every number of streams that comes, the median seconds of a step go back."""
    os.sched_setaffinity(0, cores)
    recognizer = Recognizer.load(**options, num_threads=len(cores))
    length = AUDIO_SECONDS * recognizer.sample_rate
    recordings = read_recordings(speech, recognizer.sample_rate, max(STREAMS) * AUDIO_SECONDS)
    pieces = np.resize(np.concatenate(recordings), (max(STREAMS), length))
    connection.send(None)
    while (count := connection.recv()) is not None:
        streams = [recognizer.create_stream() for _ in range(count)]
        for stream, samples in zip(streams, pieces, strict=False):
            stream.accept_waveform(recognizer.sample_rate, samples)
        seconds = []
        for _ in range(STEPS):
            begin = time.perf_counter()
            recognizer.decode_streams(streams)
            seconds.append(time.perf_counter() - begin)
        connection.send(median(seconds[WARM_UP_STEPS:]))


def measure(options: dict[str, Any], speech: Sequence[Path], sizes: Sequence[int]) -> list[Measured]:
    """Steps of every kind of workers: of several rounds in turns the best, for each kind.

    Args:
        options: of the recognizer.
        speech: what is decoded.
        sizes: numbers of processes of one thread at the same time, and of threads of one process.

    Raises:
        ValueError: the machine has fewer processors than the largest size.
    """
    cores, most = sorted(os.sched_getaffinity(0)), max(sizes)
    if len(cores) < most:
        raise ValueError(f"expected {most} processors to measure, found {len(cores)}: choose smaller --cores")
    with ExitStack() as stack:
        alone = [stack.enter_context(worker(options, speech, cores[number : number + 1])) for number in range(most)]
        crews = {size: stack.enter_context(worker(options, speech, cores[:size])) for size in sizes if size > 1}
        for connection in (*alone, *crews.values()):
            connection.recv()
        kinds = [(1, alone[:size]) for size in sizes] + [(size, [crew]) for size, crew in crews.items()]
        best: dict[tuple[int, int, int], float] = {}
        for _ in range(ROUNDS):
            for count, (threads, workers) in itertools.product(STREAMS, kinds):
                for one in workers:
                    one.send(count)
                seconds = max(one.recv() for one in workers)
                key = len(workers), threads, count
                best[key] = min(best.get(key, math.inf), seconds)
    return [Measured(*key, seconds) for key, seconds in best.items()]


@contextmanager
def worker(options: dict[str, Any], speech: Sequence[Path], cores: Sequence[int]) -> Iterator["Connection[Any, Any]"]:
    """A process that times steps on these processors, and ends with the context."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=time_steps, args=(options, speech, cores, there), daemon=True)
    process.start()
    yield here
    here.send(None)
    process.join()


def table(cost: StepCost, interval: float, deadline: float, front: float) -> list[dict[str, Any]]:
    """Streams within the deadline: machines of several sizes, workers of one thread, several bandwidths and fronts.

    `front` counts in `one front` and `enough fronts` only, as it would hide what memory does. Enough are as many as are
    busy for `FRONT_SHARE` of the time.
    """

    def carried(machine: Machine) -> int:
        return capacity(cost, machine, interval, deadline)

    rows = []
    for cores in CORES:
        limited = {f"{bandwidth} GB/s": carried(Machine(cores, 1, bandwidth * GIGA)) for bandwidth in BANDWIDTHS}
        free = carried(Machine(cores, 1, math.inf))
        fronts = min(max(math.ceil(free * front / (FRONT_SHARE * interval)), 1), cores)
        rows.append(
            {
                "cores": cores,
                "one process": carried(Machine(1, cores, math.inf)),
                "no limit": free,
                "one front": carried(Machine(cores, 1, math.inf, front)),
                "fronts": fronts,
                "enough fronts": carried(Machine(cores, 1, math.inf, front, fronts)),
                **limited,
            }
        )
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--audio", type=Path, nargs="+", help="speech to measure with: sound files, or manifests")
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--decoding-method", default="greedy")
    parser.add_argument("--beam-width", type=int, default=10)
    parser.add_argument("--deadline-ms", type=float, default=160.0)
    parser.add_argument("--front-ms", type=float, default=0.0, help="for a chunk of a stream; see measure_front.py")
    parser.add_argument("--cores", type=int, nargs="+", default=[], help="more processes and threads to measure")
    parser.add_argument("--out", type=Path, help="keep what was measured")
    parser.add_argument("--only-measure", action="store_true", help="end with --out")
    parser.add_argument("--measured", type=Path, help="what was kept, instead of measuring")
    arguments = parser.parse_args()
    names = ("backend", "precision", "decoding_method", "beam_width")
    chosen = {name: getattr(arguments, name) for name in names}
    if arguments.measured:
        steps = [Measured(**one) for one in json.loads(arguments.measured.read_text(encoding="utf-8"))]
    elif arguments.audio:
        sizes = sorted({1, 2, *arguments.cores})
        try:
            steps = measure({"artifact": str(arguments.artifact), **chosen}, arguments.audio, sizes)
        except ValueError as error:
            parser.error(str(error))
    else:
        parser.error("expected --audio to measure with, or --measured")
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(one) for one in steps]) + "\n", encoding="utf-8")
    manifest, options = read_manifest(arguments.artifact), RecognizerOptions(**chosen)
    work = ChunkWork.of(manifest, options.variant(manifest), options)
    cost = fit(steps, work.weight_bytes, work.state_bytes)
    interval = manifest.samples_per_step / manifest.frontend.sample_rate
    deadline, front = arguments.deadline_ms / 1e3, arguments.front_ms / 1e3
    if arguments.only_measure:
        return
    document = {
        "measured": [asdict(one) for one in steps],
        "cost": asdict(cost),
        "explained": [cost.compute(one.streams, one.threads, one.processes == 1) for one in steps],
        "bandwidth_here": [measure_bandwidth(1) / GIGA, measure_bandwidth(2) / GIGA],
        "bandwidth_for_a_worker": cost.bandwidth_for(1, interval) / GIGA,
        "workers_that_fill": {f"{one} GB/s": int(one * GIGA / cost.bandwidth_for(1, interval)) for one in BANDWIDTHS},
        "streams": table(cost, interval, deadline, front),
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
