"""The report's plots."""

from collections.abc import Mapping, Sequence

from emf.quantize.report.report import Report
from emf.quantize.report.rows import VariantRow
from emf.runtime.pages.content import Figure
from emf.runtime.pages.plots import Series, line_plot
from emf.runtime.pages.points import Point, point_plot


def trade_offs(report: Report) -> tuple[Figure, ...]:
    """Words against time, against size, and against streams where their number was measured."""
    rows, chosen = report.variants, report.recommendation.variant
    times = [_point(report, row, row.figures.chunk_ms.p50, chosen) for row in rows]
    sizes = [_point(report, row, row.bytes / 2**20, chosen) for row in rows]
    streams = [
        _point(report, row, row.diagnostics.streams_realtime, chosen)
        for row in rows
        if row.diagnostics.streams_realtime is not None
    ]
    figures = [
        Figure("WER against time", point_plot("time of a chunk at p50, ms", "WER, %", times)),
        Figure("WER against size", point_plot("size of the graphs, MiB", "WER, %", sizes)),
    ]
    if streams:
        figures.append(Figure("WER against streams", point_plot("real-time streams", "WER, %", streams)))
    return tuple(figures)


def _point(report: Report, row: VariantRow, x: float, chosen: str) -> Point:
    """The interval is that of the change, about the WER it is compared with: the words of both are the same."""
    reference = report.reference(row)
    interval = None if row is reference else _shifted(row.wer_delta_ci95, reference.wer)
    name = row.variant.precision if row.origin is None else f"{row.origin.artifact} {row.variant.precision}"
    return Point(name, row.backend, x, 100 * row.wer, interval, row.name == chosen)


def _shifted(interval: tuple[float, float], start: float) -> tuple[float, float]:
    return 100 * (start + interval[0]), 100 * (start + interval[1])


def latency_plots(report: Report) -> tuple[Figure, ...]:
    """How chunk times are spread, by variant and by component, and how they change over the audio."""
    chosen = report.recommended
    chunks = {row.name: row.curves.chunk_ms_percentiles for row in report.variants}
    over_time = [_over_time(row) for row in report.variants]
    return (
        Figure("Time of a chunk, cumulative", line_plot("time of a chunk, ms", "% of chunks", _cumulative(chunks))),
        Figure(
            f"Time by component, cumulative: {chosen.name}",
            line_plot("time in the component, ms", "% of chunks", _cumulative(chosen.curves.components_ms_percentiles)),
        ),
        Figure("Time of a chunk over the audio", line_plot("% of the audio", "time of a chunk, ms", over_time)),
    )


def drift_plot(report: Report) -> Figure:
    """The encoder's signal to noise, minute by minute."""
    series = [_by_minute(row.name, row.diagnostics.drift_db) for row in report.quantized]
    return Figure("Encoder against fp32", line_plot("minute of audio", "signal to noise, dB", series))


def _cumulative(percentiles: Mapping[str, Sequence[float]]) -> list[Series]:
    return [Series(name, values, range(len(values))) for name, values in percentiles.items()]


def _by_minute(name: str, values: Sequence[float]) -> Series:
    return Series(name, [index + 1.0 for index in range(len(values))], values)


def _over_time(variant: VariantRow) -> Series:
    values = variant.curves.chunk_ms_over_time
    return Series(variant.name, [100.0 * (index + 1) / len(values) for index in range(len(values))], values)
