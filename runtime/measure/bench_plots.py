"""The plots of emf-bench: latency as a distribution, over time, and by the number of streams."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from emf.runtime.artifact.files import write_whole
from emf.runtime.measure.bench_report import BenchReport, Floored
from emf.runtime.measure.document import to_document
from emf.runtime.measure.latency import Measurements
from emf.runtime.measure.plots import Series, line_plot

_CURVE_POINTS = 200


def write_plots(
    folder: Path, report: BenchReport, measured: Mapping[str, Measurements], seconds_per_chunk: float
) -> list[Path]:
    """Write `bench.json` and SVG plots to a folder, each whole or not at all.

    Args:
        folder: made if it is not there.
        report: gives `bench.json` and the loads.
        measured: ours and the baseline's measurements by name.
        seconds_per_chunk: audio between two chunks.

    Returns:
        The files.
    """
    texts = {
        "bench.json": json.dumps(to_document(report), indent=1, allow_nan=False) + "\n",
        "latency-distribution.svg": line_plot(
            "milliseconds a chunk",
            "share of chunks",
            [*(_distribution(name, m.chunks) for name, m in measured.items()), _upright("floor", report.floored)],
        ),
        "latency-over-time.svg": line_plot(
            "seconds of audio",
            "milliseconds a chunk",
            [_over_time(name, m.chunks, seconds_per_chunk) for name, m in measured.items()],
        ),
    }
    if report.load and report.load.loads:
        loads = sorted((load.figures for load in report.load.loads), key=lambda load: load.streams)
        floors = {load.figures.streams: load.floored.floor_ms for load in report.load.loads}
        streams = [load.streams for load in loads]
        texts["latency-by-streams.svg"] = line_plot(
            "real-time streams",
            "milliseconds a chunk",
            [
                Series("p50", streams, [load.chunk_ms.p50 for load in loads]),
                Series("p99", streams, [load.chunk_ms.p99 for load in loads]),
            ],
        )
        texts["cost-by-streams.svg"] = line_plot(
            "real-time streams",
            "milliseconds a chunk and stream",
            [
                Series("decoding", streams, [load.stream_ms for load in loads]),
                Series("floor", streams, [floors[load.streams] for load in loads]),
            ],
        )
    folder.mkdir(parents=True, exist_ok=True)
    return [write_whole(folder / name, text) for name, text in texts.items()]


def _distribution(name: str, chunks: Sequence[float]) -> Series:
    """Share of chunks that took at most so long."""
    shares = np.linspace(0.0, 1.0, _CURVE_POINTS)
    return Series(name, (1e3 * np.quantile(chunks, shares)).tolist(), shares.tolist())


def _upright(name: str, floored: Floored) -> Series:
    return Series(name, [floored.floor_ms, floored.floor_ms], [0.0, 1.0])


def _over_time(name: str, chunks: Sequence[float], seconds_per_chunk: float) -> Series:
    """The slowest chunk of each of at most some hundred stretches: means would hide what a caller feels."""
    stretch = -(-len(chunks) // _CURVE_POINTS)
    slowest = [1e3 * max(chunks[start : start + stretch]) for start in range(0, len(chunks), stretch)]
    return Series(name, [index * stretch * seconds_per_chunk for index in range(len(slowest))], slowest)
