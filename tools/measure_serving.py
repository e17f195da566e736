"""Compare the live streams that a server carries with those that its process could decode without any network.

Three parts, on one machine, with one deadline and the same recordings: `in-process` is the search of
`emf-bench --streams auto`; `served` speaks to emf-serve as emf-load does; `proxied` the same through nginx with TLS
(`deploy/nginx/emf.conf`). The server's loads begin at the number found in the process and go down by a twentieth of it
until one is within the deadline. The loop's lag is the server's own metric during that load.

Example:
    python tools/measure_serving.py artifacts/base --audio long.flac other.flac -- --precision int8 --num-threads 2

Parts may be measured one by one: `--results FILE` keeps what was found, and the table is printed of all that is there.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nginx_before import CERTIFICATE, nginx_before
from serving_process import ServingProcess, serving_process

from emf.runtime.arrays import FloatArray
from emf.runtime.commands.command_line import command_parser
from emf.runtime.commands.recognizer_flags import add_recognizer_flags, read_decoding
from emf.runtime.measure import paced_load
from emf.runtime.measure.capacity import find_capacity
from emf.runtime.speech.recordings import read_recordings
from emf.serve.load import loading
from emf.serve.load.alone import Alone
from emf.serve.load.call import Server, call
from emf.serve.load.clients import CLIENTS, address

PARTS = ("in-process", "served", "proxied")
_SAMPLE_RATE = 16_000
_ROOM = 2.0
"""Streams that the server admits, over those of the load: what is measured is what it carries, not what it admits."""
_STEP = 20


@dataclass(frozen=True, slots=True)
class Measured:
    """The largest load within the deadline; times in milliseconds.

    Attributes:
        streams: at once; 0 where none was within the deadline.
        lag_p99: of a chunk's result in the process; of the text at the client otherwise.
        final_p99: from the end of a recording to the protocol's end marker.
        loop_p99: at most so late was the server's event loop.
        tried: number of streams and p99 of each load.
    """

    streams: int
    lag_p99: float
    final_p99: float | None = None
    loop_p99: float | None = None
    tried: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What all parts have in common."""

    artifact: Path
    flags: Sequence[str]
    recordings: Sequence[FloatArray]
    protocol: str
    seconds: float
    deadline: float
    first: int
    workers: str


def in_process(plan: Plan) -> Measured:
    """The search of emf-bench."""
    parser = command_parser("measure_serving", "", "")
    add_recognizer_flags(parser)
    recognizer = read_decoding(parser.parse_args(list(plan.flags))).open(plan.artifact)

    def run(streams: int) -> paced_load.Load:
        load = paced_load.run_load(recognizer, plan.recordings, streams, plan.seconds, plan.deadline)
        sys.stderr.write(f"in-process: {streams} streams, p99 {load.figures().chunk_ms.p99:.0f} ms\n")
        return load

    most, loads = find_capacity(run, plan.deadline, plan.first)
    tried = tuple((load.streams, round(load.figures().chunk_ms.p99, 1)) for load in loads)
    return Measured(most, max((p99 for streams, p99 in tried if streams == most), default=0.0), tried=tried)


def _server_flags(plan: Plan, most: int) -> list[str]:
    return [*plan.flags, "--workers", plan.workers, "--max-streams", str(int(_ROOM * most))]


def served(plan: Plan, most: int) -> Measured:
    """Loads on the server, from `most` streams down."""
    with serving_process(plan.artifact, _server_flags(plan, most)) as process:
        return _search(plan, process, process.url, most)


def proxied(plan: Plan, most: int) -> Measured:
    """The same through nginx."""
    flags = _server_flags(plan, most)
    with tempfile.TemporaryDirectory() as folder, serving_process(plan.artifact, flags) as process:
        os.environ["SSL_CERT_FILE"] = str(Path(folder) / CERTIFICATE)
        with nginx_before(int(process.url.rpartition(":")[2]), Path(folder)) as proxy:
            return _search(plan, process, f"https://{proxy}", most)


def _search(plan: Plan, process: ServingProcess, url: str, most: int) -> Measured:
    client = CLIENTS[plan.protocol]
    server = Server(address(url, client().path), {}, client)
    assert client().sample_rate == _SAMPLE_RATE
    alone = asyncio.run(_alone(server, plan.recordings))
    tried: list[tuple[int, float]] = []
    for streams in range(most, 0, -max(most // _STEP, 1)):
        before = process.samples()
        load = asyncio.run(
            loading.run_load(server, plan.recordings, alone, streams, plan.seconds, hopeless_after=plan.deadline)
        )
        figures, lag = load.figures(), _loop_p99(before, process.samples())
        tried.append((streams, round(figures.lag_ms.p99, 1)))
        sys.stderr.write(f"{url.partition(':')[0]}: loop p99 {lag:.0f} ms; {json.dumps(asdict(figures))}\n")
        if load.within(plan.deadline):
            return Measured(streams, figures.lag_ms.p99, figures.final_ms.p99, lag, tuple(tried))
    return Measured(0, 0.0, tried=tuple(tried))


async def _alone(server: Server, recordings: Sequence[FloatArray]) -> list[Alone]:
    calls = [call(server, number, samples) for number, samples in enumerate(recordings)]
    return [Alone.of(done) for done in await asyncio.gather(*calls)]


def _loop_p99(before: dict[str, float], after: dict[str, float]) -> float:
    """The least bound of a bucket that holds 99 of 100 samples of the loop's lag, in milliseconds."""
    bucket = "emf_loop_lag_seconds_bucket:"
    counts = {float(name[len(bucket) :]): after[name] - before[name] for name in after if name.startswith(bucket)}
    return 1e3 * min(bound for bound, count in counts.items() if count >= 0.99 * max(counts.values()))


def _table(found: dict[str, Any]) -> str:
    own = found.get(PARTS[0], {}).get("streams") or float("nan")
    rows = ["| | streams | of those in the process | lag p99, ms | end to final p99, ms | loop p99, ms at most |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    for part in PARTS:
        if one := found.get(part):
            final, loop = (f"{one[name]:.0f}" if one[name] is not None else "" for name in ("final_p99", "loop_p99"))
            share = f"{100 * one['streams'] / own:.0f} %"
            rows.append(f"| {part} | {one['streams']} | {share} | {one['lag_p99']:.0f} | {final} | {loop} |")
    return "\n".join(rows)


def main() -> None:
    """Measure what was asked for, and print the table of all that is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--audio", type=Path, nargs="+", required=True, help="sound files, streamed once alone")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--results", type=Path, help="a file of JSON that holds the parts measured before")
    parser.add_argument("--protocol", choices=tuple(CLIENTS), default="emf")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--deadline-ms", type=float, default=160.0)
    parser.add_argument("--first", type=int, default=16, help="streams of the first load in the process")
    parser.add_argument("--workers", default="0", help="as emf-serve takes them; the server's own process by default")
    parser.epilog = "Behind --, there may be flags of the recognizer."
    arguments = sys.argv[1:]
    behind = arguments.index("--") if "--" in arguments else len(arguments)
    given, flags = parser.parse_args(arguments[:behind]), arguments[behind + 1 :]
    recordings = read_recordings(given.audio, _SAMPLE_RATE, 1e6)
    deadline = given.deadline_ms / 1e3
    plan = Plan(given.artifact, flags, recordings, given.protocol, given.seconds, deadline, given.first, given.workers)
    path: Path | None = given.results
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    for part in given.parts:
        if part == PARTS[0]:
            measured = in_process(plan)
        else:
            measured = (served if part == "served" else proxied)(plan, found[PARTS[0]]["streams"])
        found[part] = asdict(measured)
        if path:
            path.write_text(json.dumps(found), encoding="utf-8")
    sys.stdout.write(_table(found) + "\n")


if __name__ == "__main__":
    main()
