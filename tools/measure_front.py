"""Measure what the front costs: the server's process that speaks to clients, while its workers decode.

Example:
    python tools/measure_front.py artifacts/base --audio speech/manifest.tsv --serve='--precision int8' --streams 32

A server with two workers of one thread serves streams of our own protocol at the pace of speech. Printed are the share
of a processor that the front, the mean worker and this client take meanwhile, and `front_ms`: the front's milliseconds
for a chunk of a stream, as `model_capacity.py --front-ms` takes them.
"""

import argparse
import asyncio
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from chaos import children, sample_rate, serving, speaker

from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.speech.recordings import read_recordings
from emf.serve.load.call import Speaker

_PROTOCOL = "emf"
_WORKERS = 2
_SETTLED, _COUNTED = 0.2, 0.7
"""Shares of a recording: when it counts, and for how long."""


def processor_seconds(pid: int) -> float:
    """What a process has used, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(server: Speaker, front: int, pieces: Sequence[FloatArray], seconds: float) -> dict[str, float]:
    """Shares of a processor while all pieces are spoken at once."""
    calls = [asyncio.create_task(server.speak(number, samples)) for number, samples in enumerate(pieces)]
    await asyncio.sleep(_SETTLED * seconds)
    workers, own = children(front), os.getpid()
    processes = (front, own, *workers)
    before, begin = {pid: processor_seconds(pid) for pid in processes}, time.perf_counter()
    await asyncio.sleep(_COUNTED * seconds)
    elapsed = time.perf_counter() - begin
    used = {pid: (processor_seconds(pid) - before[pid]) / elapsed for pid in processes}
    lags = [made.final for made in await asyncio.gather(*calls) if made.final is not None]
    return {
        "front": used[front],
        "worker": sum(used[pid] for pid in workers) / len(workers),
        "client": used[own],
        "final_ms_max": 1e3 * max(lags),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--audio", type=Path, nargs="+", required=True, help="sound files, or manifests")
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each stream")
    parser.add_argument("--serve", type=shlex.split, default=[], help="Flags of emf-serve: --serve='--precision int8'.")
    flags = parser.parse_args()
    manifest, rate = read_manifest(flags.artifact), sample_rate(_PROTOCOL)
    length = round(flags.seconds * rate)
    pieces = cut(read_recordings(flags.audio, rate, flags.streams * flags.seconds), flags.streams, length)
    arguments = [str(flags.artifact), "--workers", str(_WORKERS), "--threads-per-worker", "1"]
    with serving([*arguments, "--max-streams", str(flags.streams), *flags.serve]) as (url, process):
        found: dict[str, Any] = asyncio.run(measure(speaker(_PROTOCOL, url, 0), process.pid, pieces, flags.seconds))
    interval = manifest.samples_per_step / manifest.frontend.sample_rate
    found |= {"streams": flags.streams, "front_ms": 1e3 * found["front"] * interval / flags.streams}
    sys.stdout.write(json.dumps(found) + "\n")


def cut(recordings: Sequence[FloatArray], count: int, length: int) -> list[FloatArray]:
    """So many pieces of this length, from one recording to the next and again from the first."""
    return list(np.resize(np.concatenate(recordings), (count, length)))


if __name__ == "__main__":
    main()
