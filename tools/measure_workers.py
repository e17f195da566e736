"""Measure what workers and their snapshots cost: start, memory, and the share of a processor.

Example:
    python tools/measure_workers.py artifacts/base --precision int8 --backend onnxruntime --workers 2

`ready_s` is the time from the begin of a worker process to its readiness, one after the other and all at once. Memory
is what the system counts: RSS, and PSS, in which what processes share is divided among them. A snapshot's time is that
of taking it, of carrying it to the server (both ends), and of going on with it, by the processor's clock; `interval_s`
is how often a server then takes one of each of `--streams` streams on these workers, and `share` the share of as many
processors as there are workers that taking and carrying costs.
"""

import argparse
import asyncio
import json
import socket
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from emf.runtime import Recognizer
from emf.serve.failover.pace import Pace
from emf.serve.failover.remote_worker import until_ready
from emf.serve.workers.cores import own_cores
from emf.serve.workers.frames import FrameSocket
from emf.serve.workers.messages import Snapshot, encode, from_worker
from emf.serve.workers.process import ProcessLauncher
from emf.serve.workers.spec import WorkerSpec

_TRIES = 30
_SECONDS = 6.0


def memory(pid: int) -> dict[str, int]:
    """Resident memory of a process, bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("Rss:", "Pss:"))}
    return {"rss_bytes": sizes["Rss"], "pss_bytes": sizes["Pss"]}


async def measure_workers(spec: WorkerSpec, count: int) -> dict[str, Any]:
    """Start and memory of worker processes."""
    launcher = ProcessLauncher(spec, own_cores(count, 1))

    async def start(number: int) -> tuple[Any, int, float]:
        begin = time.perf_counter()
        link = await launcher.launch(number)
        facts = await until_ready(link, 60.0)
        return link, facts.pid, time.perf_counter() - begin

    first = await start(0)
    alone = memory(first[1])
    first[0].sever()
    begun = await asyncio.gather(*(start(number) for number in range(count)))
    found = [memory(pid) for _, pid, _ in begun]
    for link, *_ in begun:
        link.sever()
    return {
        "ready_s": {"one": round(first[2], 2), "all_at_once": round(max(seconds for *_, seconds in begun), 2)},
        "one": alone,
        "of_all": found,
    }


async def carry(blob: bytes) -> float:
    """Seconds of a processor that a snapshot takes from worker to server."""
    ends = [await FrameSocket.over(end) for end in socket.socketpair()]
    taken = list[float]()
    for name in range(_TRIES):
        begin = time.thread_time()
        ends[0].send(encode(Snapshot(0, name, memoryview(blob), 0.0)))
        frame = await ends[1].receive()
        assert frame is not None
        from_worker(frame)
        taken.append(time.thread_time() - begin)
    for end in ends:
        end.close()
    return median(taken)


def measure_snapshots(options: dict[str, Any], streams: int, workers: int) -> dict[str, float]:
    """Cost of snapshots of streams that have heard some seconds."""
    recognizer = Recognizer.load(**options)
    stream = recognizer.create_stream()
    noise = np.random.default_rng(0).normal(0.0, 0.05, int(_SECONDS * recognizer.sample_rate))
    stream.accept_waveform(recognizer.sample_rate, noise)
    recognizer.decode_ready([stream])
    taking, restoring = list[float](), list[float]()
    for _ in range(_TRIES):
        begin = time.thread_time()
        blob = stream.snapshot()
        middle = time.thread_time()
        recognizer.restore_stream(blob)
        taking.append(middle - begin)
        restoring.append(time.thread_time() - middle)
    seconds, carrying = median(taking), asyncio.run(carry(blob))
    aboard = -(-streams // workers)
    interval = Pace(seconds=seconds).interval(aboard)
    return {
        "bytes": len(blob),
        "taking_ms": round(1e3 * seconds, 2),
        "carrying_ms": round(1e3 * carrying, 2),
        "restoring_ms": round(1e3 * median(restoring), 2),
        "streams_of_a_worker": aboard,
        "interval_s": round(interval, 2),
        "share": round(aboard * (seconds + carrying) / interval, 4),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--decoding-method", default="greedy")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--streams", type=int, default=60)
    flags = parser.parse_args()
    options = {
        "backend": flags.backend,
        "precision": flags.precision,
        "decoding_method": flags.decoding_method,
        "num_threads": 1,
    }
    spec = WorkerSpec(str(flags.artifact.absolute()), options)
    document = {
        "workers": asyncio.run(measure_workers(spec, flags.workers)),
        "snapshot": measure_snapshots({"artifact": flags.artifact, **options}, flags.streams, flags.workers),
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
