"""The report as a page: the recommendation first, the machine last, every section with a sentence on how to read it."""

from collections.abc import Iterator

from emf.quantize.report.conversion import conversion_line, conversion_table, conversion_words_table, read_conversion
from emf.quantize.report.plots import drift_plot, latency_plots, trade_offs
from emf.quantize.report.report import Report, WhatIfReport
from emf.quantize.report.tables import (
    NARROW_OMITS,
    audio_line,
    bandwidth_table,
    baselines_table,
    components_table,
    details_table,
    drift_table,
    machine_line,
    matrix_table,
    operators_table,
    variants_table,
    what_if_line,
)
from emf.quantize.report.what_if_tables import what_if_section
from emf.runtime.pages.content import Block, KeyFigure, Page, Section


def report_page(report: Report, command: str) -> Page:
    """All that was measured, and the command that measured it."""
    return Page(
        title=f"{report.artifact}: which variant to deploy",
        headline=report.recommendation.variant,
        reason=report.recommendation.reason,
        figures=_key_figures(report),
        sections=tuple(_sections(report, command)),
    )


def what_if_page(report: WhatIfReport, command: str) -> Page:
    """The what-ifs alone."""
    machine = Section("Machine and command", _MACHINE, (Block(text=what_if_line(report)), Block(code=command)))
    return Page(f"{report.artifact}: what if", "", "", (), (what_if_section(report.what_if), machine))


_MACHINE = "Times hold for this machine and this decoding; repeat the command where the model is to run."


def _key_figures(report: Report) -> tuple[KeyFigure, ...]:
    """The recommended variant beside fp32 of its backend."""
    row = report.recommended
    reference = report.float_row(row)
    pairs = [
        ("WER", f"{100 * row.wer:.2f} %", f"{100 * reference.wer:.2f} %"),
        ("chunk at p50", f"{row.figures.chunk_ms.p50:.2f} ms", f"{reference.figures.chunk_ms.p50:.2f} ms"),
        ("size", f"{row.bytes / 2**20:.1f} MiB", f"{reference.bytes / 2**20:.1f} MiB"),
        ("peak memory", f"{row.peak_rss_bytes / 2**20:.0f} MiB", f"{reference.peak_rss_bytes / 2**20:.0f} MiB"),
    ]
    streams, fp32_streams = (one.diagnostics.streams_realtime for one in (row, reference))
    if streams is not None:
        pairs.append(("real-time streams", str(streams), "not measured" if fp32_streams is None else str(fp32_streams)))
    return tuple(KeyFigure(name, value, "" if row.is_float else f"fp32: {other}") for name, value, other in pairs)


def _sections(report: Report, command: str) -> Iterator[Section]:
    chosen = report.recommendation.variant
    yield Section(
        "Variants",
        "WER change is in points against fp32 of the same backend; if its 95 % interval contains 0, this audio "
        "shows no difference.",
        (
            Block(text=audio_line(report)),
            Block(table=variants_table(report), secondary=NARROW_OMITS, marked=chosen),
            Block("All other figures", table=details_table(report), marked=chosen),
        ),
    )
    yield from _conversion(report)
    yield Section(
        "Trade-off",
        "Lower is better, and so is left for time and size; bars are the 95 % interval of the change against fp32, "
        "the ring is the recommendation, and the axes do not begin at zero.",
        (Block(figures=trade_offs(report)),),
    )
    if report.baselines:
        yield Section(
            "PyTorch on the same audio",
            "Every row is the same checkpoint decoded by torchaudio's own search; compare its chunk time with the "
            "variants' above.",
            (Block(table=baselines_table(report)),),
        )
    yield Section(
        "Latency",
        "A chunk's time runs from its last sample to the updated text; a steep curve means that all chunks take about "
        "as long.",
        (
            Block("Mean time by component", table=components_table(report), marked=chosen),
            Block("Curves", figures=latency_plots(report)),
        ),
    )
    if report.component_matrix:
        yield Section(
            "Which component costs words",
            "Each row mixes float and INT8 graphs; where the WER jumps, the component that changed is the cause.",
            tuple(Block(name, table=matrix_table(rows)) for name, rows in report.component_matrix.items()),
        )
    yield from _inside(report)
    if report.what_if:
        yield what_if_section(report.what_if)
    yield Section("Machine and command", _MACHINE, (Block(text=machine_line(report)), Block(code=command)))


def _conversion(report: Report) -> Iterator[Section]:
    """What was done to the model before it was exported."""
    conversion = read_conversion(report.provenance)
    if conversion is not None:
        yield Section(
            "Not the model as it was trained",
            "The variants above are of a smaller model; what the conversion changed is below, not in their WER change.",
            (
                Block(table=conversion_table(conversion)),
                Block(text=conversion_line(conversion)),
                Block("Words of both models", table=conversion_words_table(conversion)),
            ),
        )


def _inside(report: Report) -> Iterator[Section]:
    """What explains the figures: drift, memory, operators."""
    if report.quantized:
        yield Section(
            "Encoder against fp32",
            "Signal to noise of the encoder's output, by minute of audio; a value that falls from minute to minute is "
            "an error that grows.",
            (Block("Decibels by minute", figures=(drift_plot(report),), table=drift_table(report)),),
        )
    yield Section(
        "Memory traffic of a chunk",
        "A chunk reads every weight once, so it takes at least the floor unless a cache holds the weights.",
        (Block("Bytes and floor", table=bandwidth_table(report), marked=report.recommendation.variant),),
    )
    yield Section(
        "The encoder's operators",
        "Times come from the backend's own profiler; a quantized variant is fast only if its products are not in "
        "float32.",
        tuple(
            Block(row.name, _sentence(row.diagnostics.float32_products), operators_table(row))
            for row in report.variants
        ),
    )


def _sentence(text: str) -> str:
    return f"{text}." if text else ""
