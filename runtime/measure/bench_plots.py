"""The plots of emf-bench: latency as a distribution, over time, and by the number of streams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emf.runtime.measure.bench_report import BenchReport, Floored, FlooredLoad
from emf.runtime.measure.latency import Measurements
from emf.runtime.pages.content import Figure
from emf.runtime.pages.plots import Series, line_plot

_CURVE_POINTS = 200


@dataclass(frozen=True, slots=True)
class BenchPlots:
    """The plots of one run: of one stream, and of each number of streams tried (may be none)."""

    one_stream: tuple[Figure, ...]
    streams: tuple[Figure, ...]

    @classmethod
    def of(cls, report: BenchReport, measured: Mapping[str, Measurements], seconds_per_chunk: float) -> "BenchPlots":
        """Draw a run.

        Args:
            report: gives the floor and the loads.
            measured: ours and the baseline's measurements by name.
            seconds_per_chunk: audio between two chunks.
        """
        loads = report.load.loads if report.load else ()
        return cls(_one_stream(report, measured, seconds_per_chunk), _streams(loads) if loads else ())


def _one_stream(
    report: BenchReport, measured: Mapping[str, Measurements], seconds_per_chunk: float
) -> tuple[Figure, ...]:
    spread = [*(_distribution(name, m.chunks) for name, m in measured.items()), _upright("floor", report.floored)]
    slowest = [_over_time(name, m.chunks, seconds_per_chunk) for name, m in measured.items()]
    return (
        Figure("Latency distribution", line_plot("milliseconds a chunk", "share of chunks", spread)),
        Figure("Latency over time", line_plot("seconds of audio", "milliseconds a chunk", slowest)),
    )


def _streams(tried: Sequence[FlooredLoad]) -> tuple[Figure, ...]:
    loads = sorted(tried, key=lambda load: load.figures.streams)
    streams = [load.figures.streams for load in loads]
    latency = [
        Series("p50", streams, [load.figures.chunk_ms.p50 for load in loads]),
        Series("p99", streams, [load.figures.chunk_ms.p99 for load in loads]),
    ]
    cost = [
        Series("decoding", streams, [load.figures.stream_ms for load in loads]),
        Series("floor", streams, [load.floored.floor_ms for load in loads]),
    ]
    return (
        Figure("Latency by streams", line_plot("real-time streams", "milliseconds a chunk", latency)),
        Figure("Cost by streams", line_plot("real-time streams", "milliseconds a chunk and stream", cost)),
    )


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
