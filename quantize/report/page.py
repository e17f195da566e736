"""The report as a page: the recommendation first, the machine last, every section with a sentence on how to read it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from emf.quantize.report.conversion import conversion_line, conversion_table, conversion_words_table, read_conversion
from emf.quantize.report.plots import drift_plot, latency_plots, trade_offs
from emf.quantize.report.report import Report, WhatIfReport
from emf.quantize.report.tables import (
    NARROW_OMITS,
    artifacts_table,
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
        title=f"{', '.join(report.names)}: which variant to deploy",
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
_NOT_COUNTED = "what the conversion changed is below, not in their WER change."
_COUNTED = "their WER change counts that. Below is what the export found in PyTorch."


def _key_figures(report: Report) -> tuple[KeyFigure, ...]:
    """The recommended variant beside the one that it is compared with."""
    row = report.recommended
    reference = report.reference(row)
    pairs = [
        ("WER", f"{100 * row.wer:.2f} %", f"{100 * reference.wer:.2f} %"),
        ("chunk at p50", f"{row.figures.chunk_ms.p50:.2f} ms", f"{reference.figures.chunk_ms.p50:.2f} ms"),
        ("size", f"{row.bytes / 2**20:.1f} MiB", f"{reference.bytes / 2**20:.1f} MiB"),
        ("peak memory", f"{row.peak_rss_bytes / 2**20:.0f} MiB", f"{reference.peak_rss_bytes / 2**20:.0f} MiB"),
    ]
    streams, fp32_streams = (one.diagnostics.streams_realtime for one in (row, reference))
    if streams is not None:
        pairs.append(("real-time streams", str(streams), "not measured" if fp32_streams is None else str(fp32_streams)))
    if row.origin and reference.origin:
        kept, reference_kept = (f"{one.kept_bytes / 2**10:.1f} KiB" for one in (row.origin, reference.origin))
        pairs.append(("kept by a stream", kept, reference_kept))
    beside = "" if row is reference else f"{_fp32(report)}: "
    return tuple(KeyFigure(name, value, beside and f"{beside}{other}") for name, value, other in pairs)


def _fp32(report: Report) -> str:
    """What the variants are compared with."""
    return "fp32" if report.compared is None else f"{report.names[0]} fp32"


def _sections(report: Report, command: str) -> Iterator[Section]:
    chosen = report.recommendation.variant
    yield Section(
        "Variants",
        f"WER change is in points against {_fp32(report)} of the same backend; if its 95 % interval contains 0, this "
        f"audio shows no difference.{_if_several(report, 'Bytes and tokens are compared with it, too.')}",
        (
            Block(text=audio_line(report)),
            *[Block(table=artifacts_table(report))] * (report.compared is not None),
            Block(table=variants_table(report), secondary=NARROW_OMITS, marked=chosen),
            Block("All other figures", table=details_table(report), marked=chosen),
        ),
    )
    yield from _conversion(report)
    yield Section(
        "Trade-off",
        f"Lower is better, and so is left for time and size; bars are the 95 % interval of the change against "
        f"{_fp32(report)}, the ring is the recommendation, and the axes do not begin at zero.",
        (Block(figures=trade_offs(report)),),
    )
    if report.baselines:
        yield Section(
            "PyTorch on the same audio",
            "Every row is the same checkpoint decoded by torchaudio's own search; compare its chunk time with the "
            f"variants' above.{_if_several(report, f'It is that of {report.names[0]}.')}",
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
        section = what_if_section(report.what_if)
        yield replace(section, reading=section.reading + _if_several(report, f"All is of {report.names[0]} alone."))
    yield Section("Machine and command", _MACHINE, (Block(text=machine_line(report)), Block(code=command)))


def _if_several(report: Report, sentence: str) -> str:
    """What a section says more if the report has several artifacts."""
    return "" if report.compared is None else f" {sentence}"


def _conversion(report: Report) -> Iterator[Section]:
    """What was done to each model before it was exported."""
    if report.compared is None:
        yield from _conversion_of(report.provenance, "", "above", _NOT_COUNTED)
        return
    for one in report.compared.artifacts:
        counted = _NOT_COUNTED if one.name == report.names[0] else _COUNTED
        yield from _conversion_of(one.provenance, f": {one.name}", f"of {one.name}", counted)


def _conversion_of(provenance: Mapping[str, Any], heading: str, which: str, counted: str) -> Iterator[Section]:
    conversion = read_conversion(provenance)
    if conversion is not None:
        yield Section(
            f"Not the model as it was trained{heading}",
            f"The variants {which} are of a smaller model; {counted}",
            (
                Block(table=conversion_table(conversion)),
                Block(text=conversion_line(conversion)),
                Block("Words of both models", table=conversion_words_table(conversion)),
            ),
        )


def _inside(report: Report) -> Iterator[Section]:
    """What explains the figures: drift, memory, operators."""
    if report.quantized:
        own = _if_several(
            report, "Each artifact is compared with its own fp32: what a conversion changed is not in it."
        )
        yield Section(
            "Encoder against fp32",
            "Signal to noise of the encoder's output, by minute of audio; a value that falls from minute to minute is "
            f"an error that grows.{own}",
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
