"""The report as Markdown."""

from emf.quantize.report.report import Report, WhatIfReport
from emf.quantize.report.tables import (
    Table,
    audio_line,
    bandwidth_table,
    baselines_table,
    components_table,
    machine_line,
    matrix_table,
    variants_table,
    what_if_line,
)
from emf.quantize.report.what_if_tables import what_if_sections
from emf.quantize.structure.rows import WhatIf


def to_markdown(report: Report) -> str:
    """The report as Markdown."""
    verdict = report.recommendation
    parts = [
        f"# {report.artifact}: which variant to deploy",
        f"**{verdict.variant}**: {verdict.reason}",
        machine_line(report),
        audio_line(report),
        "## Variants",
        _table(variants_table(report)),
    ]
    if report.baselines:
        parts += ["## PyTorch on the same audio", _table(baselines_table(report))]
    for backend, rows in report.component_matrix.items():
        parts += [f"## Which component costs words: {backend}", _table(matrix_table(rows))]
    parts += ["## Time by component", _table(components_table(report))]
    parts += ["## Memory traffic of a chunk", _table(bandwidth_table(report))]
    drift = [f"- {v.name}: {', '.join(f'{value:.1f}' for value in v.diagnostics.drift_db)}" for v in report.quantized]
    if drift:
        parts += ["## Encoder against fp32, dB by minute of audio", "\n".join(drift)]
    told = [(v.name, v.diagnostics.float32_products) for v in report.quantized]
    floats = [f"- {name}: {sentence}" for name, sentence in told if sentence]
    if floats:
        parts += ["## Products in float32", "\n".join(floats)]
    if report.what_if:
        parts += _sections(report.what_if)
    return "\n\n".join(parts) + "\n"


def what_if_to_markdown(report: WhatIfReport) -> str:
    """The what-ifs alone as Markdown."""
    parts = [f"# {report.artifact}: what if", what_if_line(report), *_sections(report.what_if)]
    return "\n\n".join(parts) + "\n"


def _sections(what_if: WhatIf) -> list[str]:
    parts: list[str] = []
    for section in what_if_sections(what_if):
        parts.append(f"## {section.heading}")
        parts += [section.text] * bool(section.text) + [_table(table) for table in [section.table] if table]
    return parts


def _table(table: Table) -> str:
    header, rows = table
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
