"""Load a server for a long time with streams that come and go, and print how memory and latency change.

Example:
    python tools/soak.py artifacts/demo --audio export/demo/recordings/*.flac --seconds 3600 --streams 40

A server is started, and `--streams` callers speak recordings of `--shortest` to `--longest` seconds, cut from those
given, one after the other. `--share` of what the server says it carries stands for `--streams` where that is not given.
Printed is one JSON object: wrong texts, the lag in the first and the last sixth of the time, and for every process of
the server the slope of its resident memory over the second half, bytes an hour. The exit status is 1 where a text is
wrong or missing.
"""

import argparse
import asyncio
import json
import shlex
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from chaos import alone, children, serving

from emf.runtime.arrays import FloatArray
from emf.runtime.speech.recordings import read_recordings
from emf.serve.load.alone import Alone
from emf.serve.load.call import Server
from emf.serve.load.clients import CLIENTS, address
from emf.serve.load.figures import Load
from emf.serve.load.loading import run_load

_SAMPLE_SECONDS = 1.0
_ALONE_AT_ONCE = 4
_PARTS = 6
_HOUR = 3600.0


def cuts(recordings: list[FloatArray], rate: int, shortest: float, longest: float, count: int) -> list[FloatArray]:
    """Recordings of many lengths, pieced together from those given."""
    speech, chance = np.concatenate(recordings), np.random.default_rng(7)
    lengths = np.exp(chance.uniform(np.log(shortest), np.log(longest), count)) * rate
    whole = np.tile(speech, int(max(lengths) // len(speech)) + 2)
    begins = chance.integers(0, len(speech), count)
    return [whole[begin : begin + int(length)] for begin, length in zip(begins, lengths, strict=True)]


async def watch(pids: list[int], samples: dict[int, list[tuple[float, int]]]) -> None:
    """Note the resident memory of processes again and again."""
    loop = asyncio.get_running_loop()
    while True:
        for pid in pids:
            pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            samples.setdefault(pid, []).append((loop.time(), pages * 4096))
        await asyncio.sleep(_SAMPLE_SECONDS)


def slope(samples: list[tuple[float, int]]) -> float:
    """Bytes an hour over the second half of the time."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return 0.0
    times, sizes = np.array(half).T
    return float(np.polyfit(times, sizes, 1)[0]) * _HOUR


def lag_ms(load: Load, undisturbed: list[Alone], begin: float, end: float) -> dict[str, float]:
    """Percentiles of the lag of text that came in a span of the loop's time."""
    timed = (pair for call in load.calls for pair in undisturbed[call.recording].timed_lags(call))
    lags = [lag for at, lag in timed if begin <= at < end]
    if not lags:
        return {}
    p50, p99 = np.percentile(lags, (50, 99))
    return {"p50": round(1e3 * float(p50), 1), "p99": round(1e3 * float(p99), 1)}


def capacity(url: str) -> float:
    """Streams that the server says it carries."""
    with urllib.request.urlopen(f"{url}/health/ready") as answer:
        return float(json.load(answer)["capacity"])


async def soak(flags: argparse.Namespace, url: str, pid: int) -> dict[str, Any]:
    """The whole load."""
    client = CLIENTS[flags.protocol]
    rate = client().sample_rate
    recordings = read_recordings(flags.audio, rate, flags.longest)
    pieces = cuts(recordings, rate, flags.shortest, flags.longest, flags.recordings)
    server = Server(address(url, client().path), {}, client)
    undisturbed = await alone(server, pieces, at_once=_ALONE_AT_ONCE)
    streams = flags.streams or max(int(flags.share * capacity(url)), 1)
    samples: dict[int, list[tuple[float, int]]] = {}
    watching = asyncio.create_task(watch([pid, *children(pid)], samples))
    begin = asyncio.get_running_loop().time()
    load = await run_load(server, pieces, undisturbed, streams, flags.seconds)
    watching.cancel()
    figures, part = load.figures(), flags.seconds / _PARTS
    return {
        "streams": streams,
        "seconds": flags.seconds,
        "recordings": figures.recordings,
        "wrong_text": figures.wrong_text,
        "failed": figures.failed,
        "refused": figures.refused,
        "first_lag_ms": lag_ms(load, undisturbed, begin, begin + part),
        "last_lag_ms": lag_ms(load, undisturbed, begin + flags.seconds - part, begin + flags.seconds),
        "processes": [
            {"rss_bytes": found[-1][1], "slope_bytes_an_hour": round(slope(found))} for found in samples.values()
        ],
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--audio", type=Path, nargs="+", required=True)
    parser.add_argument("--protocol", choices=tuple(CLIENTS), default="emf")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--streams", type=int)
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--shortest", type=float, default=5.0)
    parser.add_argument("--longest", type=float, default=120.0)
    parser.add_argument("--recordings", type=int, default=20)
    parser.add_argument("--serve", type=shlex.split, default=[], help="Flags of emf-serve: --serve='--precision int8'.")
    flags = parser.parse_args()
    with serving([str(flags.artifact), *flags.serve]) as (url, process):
        found = asyncio.run(soak(flags, url, process.pid))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return int(bool(found["wrong_text"] or found["failed"] or found["refused"]))


if __name__ == "__main__":
    sys.exit(main())
