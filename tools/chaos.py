"""Kill and stop the workers of emf-serve under load, and compare every text with the undisturbed one.

Example:
    python tools/chaos.py artifacts/demo --audio export/demo/recordings/*.flac --streams 12 --seconds 10
    python tools/chaos.py artifacts/demo --audio export/demo/recordings/*.flac --workers 3 --stops 1 --every 3 --wake 3

For each protocol, a server is started; every recording is streamed once undisturbed, then so many streams speak at the
pace of speech while a worker is ended every `--every` seconds, most by SIGKILL and some by SIGSTOP. A stopped worker is
given up after `--timeout` seconds; with `--wake`, every second one wakes after half of the given time. Printed is a
JSON object a protocol; the exit status is 1 where a text is wrong or missing. pauses come from the server's histogram.
"""

import argparse
import asyncio
import json
import math
import os
import random
import shlex
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chaos_wyoming import FORM, WYOMING, WyomingServer, free_port

from emf.runtime.arrays import FloatArray
from emf.runtime.speech.recordings import read_recordings
from emf.serve.load.alone import Alone
from emf.serve.load.call import Server, Speaker
from emf.serve.load.client import CallRefused
from emf.serve.load.clients import CLIENTS, address
from emf.serve.load.loading import run_load

_PROGRAM = "from emf.serve.launch import serve; raise SystemExit(serve())"
_READY = "listening on "
_UNDISTURBED_AT_ONCE = 5


@contextmanager
def serving(arguments: Sequence[str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server at a free port, and its process."""
    command = [sys.executable, "-c", _PROGRAM, *arguments, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        if not line.startswith(_READY):
            raise SystemExit(f"the server did not start: {line.strip()}")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # what it logs must not fill the pipe
        yield line.removeprefix(_READY).strip(), process
    finally:
        process.terminate()
        process.wait()


def children(pid: int) -> list[int]:
    """The processes that a process has begun: a server's workers."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    found = [int(child) for child in text.split()]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += [int(child) for child in (thread / "children").read_text(encoding="ascii").split()]
    return sorted(set(found))


async def disturb(server: int, every: float, stops: float, seconds: float, wake: float | None = None) -> dict[str, int]:
    """End a worker again and again; return how many, by signal.

    Args:
        server: process whose workers end.
        every: seconds between two.
        stops: share that is stopped, not killed.
        seconds: until it is enough.
        wake: seconds after which a stopped worker gets SIGCONT; every second one gets it after half of them. Those that
            their server has ended by then are not counted.
    """
    chance, done = random.Random(7), {"SIGKILL": 0, "SIGSTOP": 0, "SIGCONT": 0}
    waking: list[asyncio.Task[None]] = []

    async def wake_later(worker: int, after: float) -> None:
        await asyncio.sleep(after)
        if worker in children(server):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGCONT)
                done["SIGCONT"] += 1

    for _ in range(round(seconds / every)):
        await asyncio.sleep(every)
        alive = children(server)
        if not alive:
            continue
        how = signal.SIGSTOP if chance.random() < stops else signal.SIGKILL
        with suppress(ProcessLookupError):
            os.kill(worker := chance.choice(alive), how)
            done[how.name] += 1
            if how == signal.SIGSTOP and wake is not None:
                waking.append(asyncio.create_task(wake_later(worker, wake / (1 + len(waking) % 2))))
    await asyncio.gather(*waking)
    return done


def pauses(url: str) -> dict[str, float]:
    """How often streams moved, and percentiles of their silence, seconds, by the server's histogram."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    buckets: dict[float, float] = {}
    for line in lines:
        if line.startswith("emf_move_pause_seconds_bucket"):
            bound = float(line.split('le="')[1].split('"')[0])
            buckets[bound] = buckets.get(bound, 0.0) + float(line.rsplit(" ", 1)[1])
    total = max(buckets.values(), default=0.0)
    return {"moves": total, "pause_p50_s": _quantile(buckets, 0.5), "pause_p99_s": _quantile(buckets, 0.99)}


def _quantile(buckets: Mapping[float, float], share: float) -> float:
    """A quantile of a histogram, as Prometheus estimates it."""
    wanted = share * max(buckets.values(), default=0.0)
    low = below = 0.0
    for bound, count in sorted(buckets.items()):
        if count >= wanted > 0.0:
            inside = (wanted - below) / max(count - below, 1e-9)
            return round(low if math.isinf(bound) else low + inside * (bound - low), 2)
        low, below = bound, count
    return 0.0


async def alone(server: Speaker, recordings: Sequence[FloatArray], at_once: int = 1) -> list[Alone]:
    """Every recording without load, or with as little as some of them at once."""
    places = asyncio.Semaphore(at_once)

    async def speak(number: int, samples: FloatArray) -> Alone:
        async with places:
            while True:
                try:
                    return Alone.of(await server.speak(number, samples))
                except CallRefused as refused:
                    await asyncio.sleep(refused.retry_after)

    return await asyncio.gather(*(speak(number, samples) for number, samples in enumerate(recordings)))


def sample_rate(protocol: str) -> int:
    """Of the audio that clients of a protocol send, Hz."""
    return FORM.sample_rate if protocol == WYOMING else CLIENTS[protocol]().sample_rate


def speaker(protocol: str, url: str, port: int) -> Speaker:
    """Who speaks a protocol to a server at a URL, whose Wyoming is at `port`."""
    if protocol == WYOMING:
        return WyomingServer(port)
    client = CLIENTS[protocol]
    return Server(address(url, client().path), {}, client)


async def try_protocol(flags: argparse.Namespace, protocol: str) -> dict[str, Any]:
    """The load of one protocol, disturbed."""
    port = free_port()
    recordings = read_recordings(flags.audio, sample_rate(protocol), flags.max_seconds)
    arguments = [str(flags.artifact), "--workers", str(flags.workers), "--worker-timeout", str(flags.timeout)]
    arguments += ["--max-streams", str(4 * flags.streams), "--wyoming-port", str(port), *flags.serve]
    with serving(arguments) as (url, process):
        server = speaker(protocol, url, port)
        undisturbed = await alone(server, recordings, _UNDISTURBED_AT_ONCE)
        ends = asyncio.create_task(disturb(process.pid, flags.every, flags.stops, flags.seconds, flags.wake))
        load = await run_load(server, recordings, undisturbed, flags.streams, flags.seconds)
        ended = await ends
        paused = pauses(url)
    figures = load.figures()
    return {
        "protocol": protocol,
        "streams": flags.streams,
        "recordings": figures.recordings,
        "wrong_text": figures.wrong_text,
        "failed": figures.failed,
        "refused": figures.refused,
        "reasons": dict(figures.reasons),
        **ended,
        **paused,
        "final_ms_p99": round(figures.final_ms.p99),
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--audio", type=Path, nargs="+", required=True)
    parser.add_argument("--protocols", default=",".join([*CLIENTS, WYOMING]))
    parser.add_argument("--streams", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=1.0)
    parser.add_argument("--stops", type=float, default=0.2)
    parser.add_argument("--wake", type=float, help="wake stopped ones after so many seconds, or half")
    parser.add_argument("--workers", default="4")
    parser.add_argument("--timeout", type=float, default=2.0)
    parser.add_argument("--max-seconds", type=float, default=60.0)
    parser.add_argument("--serve", type=shlex.split, default=[], help="Flags of emf-serve: --serve='--precision int8'.")
    flags = parser.parse_args()
    wrong = False
    for protocol in flags.protocols.split(","):
        found = asyncio.run(try_protocol(flags, protocol))
        wrong |= bool(found["wrong_text"] or found["failed"] or found["refused"] or not found["recordings"])
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
