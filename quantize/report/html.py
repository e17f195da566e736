"""The report as one HTML file without scripts and without anything from a network."""

from collections.abc import Mapping, Sequence
from html import escape

from emf.quantize.report.report import Report, WhatIfReport
from emf.quantize.report.rows import VariantRow
from emf.quantize.report.tables import (
    Table,
    audio_line,
    bandwidth_table,
    baselines_table,
    components_table,
    machine_line,
    matrix_table,
    operators_table,
    variants_table,
    what_if_line,
)
from emf.quantize.report.what_if_tables import what_if_sections
from emf.quantize.structure.rows import WhatIf
from emf.runtime.measure.plots import Series, line_plot, scatter_plot

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #24292f; max-width: 1180px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: .6em 0 1.4em; font-size: 13px; display: block; overflow-x: auto; }
th, td { border: 1px solid #d0d7de; padding: .25em .6em; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { background: #f6f8fa; }
.verdict { background: #ddf4ff; border-left: 4px solid #1f6feb; padding: .6em 1em; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(500px, 1fr)); gap: 1em; }
figure { margin: 0; } figcaption { font-weight: 600; }
"""


def to_html(report: Report) -> str:
    """The report as a page."""
    title = f"{report.artifact}: which variant to deploy"
    verdict = report.recommendation
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict"><b>{escape(verdict.variant)}</b>: {escape(verdict.reason)}</p>',
        f"<p>{escape(machine_line(report))}<br>{escape(audio_line(report))}</p>",
        "<h2>Variants</h2>",
        _table(variants_table(report)),
    ]
    if report.baselines:
        parts += ["<h2>PyTorch on the same audio</h2>", _table(baselines_table(report))]
    parts += ["<h2>Plots</h2>", '<div class="plots">', *map(_figure, plots(report)), "</div>"]
    for backend, rows in report.component_matrix.items():
        parts += [f"<h2>Which component costs words: {escape(backend)}</h2>", _table(matrix_table(rows))]
    parts += ["<h2>Time by component</h2>", _table(components_table(report))]
    parts += ["<h2>Memory traffic of a chunk</h2>", _table(bandwidth_table(report))]
    parts.append("<h2>The encoder's operators, by the backend's own profiler</h2>")
    for variant in report.variants:
        parts.append(f"<h3>{escape(variant.name)}</h3>")
        if variant.diagnostics.float32_products:
            parts.append(f"<p>{escape(variant.diagnostics.float32_products)}.</p>")
        parts.append(_table(operators_table(variant)))
    if report.what_if:
        parts += _sections(report.what_if)
    return _page(title, parts)


def what_if_to_html(report: WhatIfReport) -> str:
    """The what-ifs alone as a page."""
    title = f"{report.artifact}: what if"
    return _page(
        title, [f"<h1>{escape(title)}</h1>", f"<p>{escape(what_if_line(report))}</p>", *_sections(report.what_if)]
    )


def _sections(what_if: WhatIf) -> list[str]:
    parts: list[str] = []
    for section in what_if_sections(what_if):
        parts.append(f"<h2>{escape(section.heading)}</h2>")
        if section.text:
            parts.append(f"<p>{escape(section.text)}</p>")
        if section.table:
            parts.append(_table(section.table))
    return parts


def _page(title: str, parts: Sequence[str]) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def plots(report: Report) -> list[tuple[str, str]]:
    """Titles and drawings."""
    variants, chosen = report.variants, report.recommended
    latency = {v.name: v.curves.chunk_ms_percentiles for v in variants}
    component = chosen.curves.components_ms_percentiles
    words = [Series(v.name, [v.figures.rtf], [100 * v.wer]) for v in variants]
    drawn = [
        ("WER against real-time factor", scatter_plot("real-time factor", "WER, %", words)),
        ("Chunk latency, cumulative", line_plot("chunk latency, ms", "% of chunks", _cumulative(latency))),
        (
            f"Latency by component, cumulative: {chosen.name}",
            line_plot("time in the component, ms", "% of chunks", _cumulative(component)),
        ),
        (
            "Chunk latency over time",
            line_plot("% of the audio", "chunk latency, ms", [_over_time(v) for v in variants]),
        ),
    ]
    drift = [_by_minute(v.name, v.diagnostics.drift_db) for v in report.quantized]
    if drift:
        drawn.append(("Encoder against fp32", line_plot("minute of audio", "signal to noise, dB", drift)))
    return drawn


def _cumulative(percentiles: Mapping[str, Sequence[float]]) -> list[Series]:
    return [Series(name, values, range(len(values))) for name, values in percentiles.items()]


def _by_minute(name: str, values: Sequence[float]) -> Series:
    return Series(name, [index + 1.0 for index in range(len(values))], values)


def _over_time(variant: VariantRow) -> Series:
    values = variant.curves.chunk_ms_over_time
    return Series(variant.name, [100.0 * (index + 1) / len(values) for index in range(len(values))], values)


def _figure(plot: tuple[str, str]) -> str:
    title, drawing = plot
    return f"<figure><figcaption>{escape(title)}</figcaption>\n{drawing}</figure>"


def _table(table: Table) -> str:
    header, rows = table
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
