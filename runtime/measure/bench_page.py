"""emf-bench's report as a page, in the look of emf-report's."""

from collections.abc import Iterator, Mapping

from emf.runtime.measure.bench_plots import BenchPlots
from emf.runtime.measure.bench_report import BenchReport, Capacity, FlooredLoad
from emf.runtime.measure.figures import StreamFigures
from emf.runtime.pages.content import Block, KeyFigure, Page, Section, Table


def bench_page(report: BenchReport, plots: BenchPlots, command: str) -> Page:
    """One run, and the command that made it."""
    return Page(
        title=f"{report.variant}: latency on this machine",
        headline=_headline(report),
        reason=_reason(report),
        figures=tuple(_key_figures(report)),
        sections=tuple(_sections(report, plots, command)),
    )


def _headline(report: BenchReport) -> str:
    return f"{report.figures.chunk_ms.p50:.2f} ms a chunk"


def _reason(report: BenchReport) -> str:
    figures, chunk = report.figures, report.figures.chunk_ms
    parts = [
        f"decoding took {100 * figures.rtf:.1f} % of the audio's length; half of {figures.chunks} chunks took at most "
        f"{chunk.p50:.2f} ms, 99 of 100 at most {chunk.p99:.2f} ms"
    ]
    if isinstance(report.load, Capacity):
        most, deadline = report.load.streams_realtime, report.load.deadline_ms
        parts.append(f"{most} real-time streams stay within {deadline:.0f} ms at p99")
    if report.comparison:
        parts.append(f"{report.comparison.speedup:.2f} times as fast as {', '.join(report.comparison.figures)} at p50")
    return "; ".join(parts)


def _key_figures(report: BenchReport) -> Iterator[KeyFigure]:
    figures = report.figures
    yield KeyFigure("chunk at p99", f"{figures.chunk_ms.p99:.2f} ms")
    yield KeyFigure("first text (TTFT)", f"{figures.ttft_ms.p50:.2f} ms", "at p50")
    yield KeyFigure("real-time factor", f"{figures.rtf:.4f}")
    yield KeyFigure("peak memory", f"{report.peak_rss_bytes / 2**20:.0f} MiB")
    if isinstance(report.load, Capacity):
        within = f"within {report.load.deadline_ms:.0f} ms at p99"
        yield KeyFigure("real-time streams", str(report.load.streams_realtime), within)


def _sections(report: BenchReport, plots: BenchPlots, command: str) -> Iterator[Section]:
    comparison = report.comparison
    rows = {report.variant: report.figures, **(comparison.figures if comparison else {})}
    equal = (
        "" if comparison is None else f"The tokens of both are {'equal' if comparison.tokens_equal else 'not equal'}."
    )
    yield Section(
        "One stream",
        "A chunk's time runs from its last sample to the updated text; p99 is what callers notice.",
        (
            Block(table=latency_table(rows), text=equal, marked=report.variant),
            Block(figures=plots.one_stream),
            Block("Mean time by component", table=_components_table(report.figures)),
            Block("The least that this machine allows", table=_floor_table(report)),
        ),
    )
    if report.load and report.load.loads:
        yield Section(
            "Real-time streams",
            "Every stream speaks on its own clock; a number of streams fits if its p99 stays within "
            f"{report.load.deadline_ms:.0f} ms.",
            (Block(table=load_table(report.load.loads)), Block(figures=plots.streams)),
        )
    yield Section(
        "Machine and command",
        "Times hold for this machine and this decoding; repeat the command where the model is to run.",
        (Block(text=_machine_line(report)), Block(code=command)),
    )


def latency_table(rows: Mapping[str, StreamFigures]) -> Table:
    """One stream: ours, and a baseline's, by their names."""
    header = ("one stream", "p50 ms", "p90 ms", "p99 ms", "mean ms", "TTFT p50 ms", "RTF")
    return header, [
        [
            name,
            *(f"{value:.2f}" for value in (row.chunk_ms.p50, row.chunk_ms.p90, row.chunk_ms.p99, row.chunk_ms.mean)),
            f"{row.ttft_ms.p50:.2f}",
            f"{row.rtf:.4f}",
        ]
        for name, row in rows.items()
    ]


def _components_table(figures: StreamFigures) -> Table:
    total = sum(figures.components_ms.values()) or 1.0
    rows = [[name, f"{value:.3f}", f"{100 * value / total:.0f} %"] for name, value in figures.components_ms.items()]
    return ("component", "ms a chunk", "share"), rows


def _floor_table(report: BenchReport) -> Table:
    floored = report.floored
    floor = floored.floor
    arithmetic = "not known" if floor.arithmetic_ms is None else f"{floor.arithmetic_ms:.3f}"
    rows = [
        ["reading weights and state, ms", f"{floor.memory_ms:.3f}"],
        ["products, ms", arithmetic],
        ["the longer of both, ms", f"{floored.floor_ms:.3f}"],
        ["chunk at p50 over that", f"{floored.times_floor:.1f}"],
    ]
    return ("floor", "value"), rows


def load_table(loads: tuple[FlooredLoad, ...]) -> Table:
    """Every number of streams that was tried."""
    header = ("streams", "p50 ms", "p99 ms", "mean batch", "ms a chunk and stream", "floor ms", "kept up")
    rows = [
        [
            str(figures.streams),
            f"{figures.chunk_ms.p50:.1f}",
            f"{figures.chunk_ms.p99:.1f}",
            f"{figures.mean_batch:.1f}",
            f"{figures.stream_ms:.2f}",
            f"{load.floored.floor_ms:.2f}",
            "yes" if figures.kept_up else "no",
        ]
        for load in sorted(loads, key=lambda one: one.figures.streams)
        for figures in [load.figures]
    ]
    return header, rows


def _machine_line(report: BenchReport) -> str:
    machine = report.machine
    stolen = "" if report.stolen_share is None else f"; {100 * report.stolen_share:.0f} % of its time went to others"
    threshold = "" if report.beam_threshold is None else f", threshold {report.beam_threshold:g}"
    return (
        f"{machine.processor}, {machine.processors} processors used, instruction sets "
        f"{', '.join(machine.instruction_sets) or 'unknown'}{stolen}; {report.decoding_method} search of width "
        f"{report.beam_width}{threshold}, {report.num_threads} threads; {report.figures.audio_s:.0f} s of audio, "
        f"loaded in {report.load_s:.2f} s."
    )
