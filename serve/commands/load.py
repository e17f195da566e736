"""The emf-load command: how many live streams a server carries, as its clients see it."""

import argparse
import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emf.runtime.arrays import FloatArray
from emf.runtime.commands.command_line import CommandParser, Outcome, bounded, command_parser, run_command
from emf.runtime.commands.progress import progress
from emf.runtime.commands.terminal import tell
from emf.runtime.errors import EmfError, UsageError
from emf.runtime.measure.capacity import find_capacity
from emf.runtime.measure.document import INLINE, to_document
from emf.runtime.pages.text import text_table
from emf.runtime.speech.recordings import read_recordings
from emf.serve.commands.stream import KEY_ENVIRONMENT
from emf.serve.load.alone import Alone
from emf.serve.load.call import Server, call
from emf.serve.load.client import CallFailed, CallRefused
from emf.serve.load.clients import CLIENTS, address
from emf.serve.load.figures import Load, LoadFigures
from emf.serve.load.loading import run_load

_AUTO = 0
_TRIES_ALONE = 3
_HEADER = ("streams", "lag p50 ms", "lag p99 ms", "final p50 ms", "final p99 ms", "recordings", "refused", "failed",
           "other text", "kept up")  # fmt: skip


class NoServer(EmfError):
    """Not even one recording by itself gave a text."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What the command found.

    Attributes:
        protocol: spoken.
        deadline_ms: greatest p99 of the lag wanted.
        figures: of the load asked for, or of the largest within the deadline; `streams` is 0 where none is.
        loads: of every number of streams tried in a search.
    """

    protocol: str
    deadline_ms: float
    figures: LoadFigures = field(metadata=INLINE)
    loads: tuple[LoadFigures, ...] | None


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-load",
        "Speak to a server with many streams at the pace of speech, and measure how late its text comes.",
        "emf-load ws://127.0.0.1:8000 --audio manifest.tsv --streams 20",
    )
    parser.add_argument("url", help="Load this server; without a path, at that of the protocol.")
    parser.add_argument(
        "--audio", type=Path, nargs="+", required=True, help="Speak these sound files, or those of a manifest.tsv."
    )
    parser.add_argument(
        "--streams",
        type=_number_of_streams,
        required=True,
        help="Run N streams, or find how many there can be within the deadline: auto.",
    )
    parser.add_argument("--protocol", choices=tuple(CLIENTS), default="emf", help="Speak this protocol. Default: emf.")
    parser.add_argument(
        "--duration",
        type=bounded(float, 1, 86_400),
        default=60.0,
        help="Begin recordings for this many seconds, with each number of streams. Default: 60.",
    )
    parser.add_argument(
        "--deadline-ms",
        type=bounded(float, 1, 60_000),
        default=160.0,
        help="Allow this lag at p99 in the search for the most streams. Default: 160.",
    )
    parser.add_argument(
        "--max-seconds",
        type=bounded(float, 1, 1e6),
        default=60.0,
        help="Use at most this much audio; first it is streamed once without load. Default: 60.",
    )
    parser.add_argument("--api-key", help=f"Send this key. Default: that in {KEY_ENVIRONMENT}.")
    return parser


def _work(flags: argparse.Namespace) -> Outcome:
    client = CLIENTS[flags.protocol]
    facts = client()
    key = flags.api_key or os.environ.get(KEY_ENVIRONMENT)
    headers = {"Authorization": f"{facts.scheme} {key}"} if key else {}
    server = Server(address(flags.url, facts.path), headers, client)
    recordings = read_recordings(flags.audio, facts.sample_rate, flags.max_seconds)
    alone = [
        asyncio.run(_alone(server, number, samples))
        for number, samples in progress(list(enumerate(recordings)), len(recordings), "alone", "recording")
    ]
    if not any(one.text for one in alone):
        raise UsageError("expected recordings with speech, found that the server hears none; name other sound files")
    report = _measure(flags, server, recordings, alone)
    return Outcome(to_document(report), _describe(report), failed=_is_failure(report))


async def _alone(server: Server, number: int, samples: FloatArray) -> Alone:
    """A recording without load.

    Raises:
        NoServer: it gives no text.
    """
    for tries_left in reversed(range(_TRIES_ALONE)):
        try:
            return Alone.of(await call(server, number, samples))
        except CallRefused as refused:
            if not tries_left:
                raise NoServer(f"expected a place for one stream, found none ({refused.reason}); wait") from refused
            await asyncio.sleep(refused.retry_after)
        except CallFailed as failure:
            found = failure.reason if str(failure) == failure.reason else f"{failure.reason}: {failure}"
            raise NoServer(f"expected the text of a recording from {server.url}, found {found}") from failure
    raise AssertionError


def _measure(
    flags: argparse.Namespace, server: Server, recordings: Sequence[FloatArray], alone: Sequence[Alone]
) -> LoadReport:
    deadline = flags.deadline_ms / 1e3
    hopeless_after = deadline if flags.streams == _AUTO else None

    def run(streams: int) -> Load:
        load = asyncio.run(run_load(server, recordings, alone, streams, flags.duration, hopeless_after))
        if flags.streams == _AUTO:
            tell(_line(load.figures()))
        return load

    if flags.streams != _AUTO:
        return LoadReport(flags.protocol, flags.deadline_ms, run(flags.streams).figures(), None)
    most, loads = find_capacity(run, deadline)
    best = next((load for load in loads if load.streams == most), Load(0))
    return LoadReport(flags.protocol, flags.deadline_ms, best.figures(), tuple(load.figures() for load in loads))


def _is_failure(report: LoadReport) -> bool:
    figures = report.figures
    return not figures.recordings or bool(figures.failed or figures.wrong_text)


def _number_of_streams(text: str) -> int:
    return _AUTO if text == "auto" else int(bounded(int, 1, 100_000)(text))


def _describe(report: LoadReport) -> str:
    loads = sorted(report.loads or [report.figures], key=lambda one: one.streams)
    lines = text_table(_HEADER, [_cells(figures) for figures in loads])
    reasons = [f"{reason}: {count}" for one in loads for reason, count in one.reasons.items()]
    if report.loads is not None:
        lines += ["", f"streams within {report.deadline_ms:.0f} ms at p99: {report.figures.streams}"]
    return "\n".join([*lines, *reasons])


def _cells(figures: LoadFigures) -> list[str]:
    lag, final = figures.lag_ms, figures.final_ms
    times = [f"{value:.0f}" for value in (lag.p50, lag.p99, final.p50, final.p99)]
    counts = [figures.recordings, figures.refused, figures.failed, figures.wrong_text]
    return [str(figures.streams), *times, *map(str, counts), "yes" if figures.kept_up else "given up"]


def _line(figures: LoadFigures) -> str:
    """What a search has found so far."""
    kept = "" if figures.kept_up else ", given up"
    return f"{figures.streams} streams: lag p99 {figures.lag_ms.p99:.0f} ms{kept}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_parser(), _work, arguments)
