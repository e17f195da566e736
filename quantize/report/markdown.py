"""The report as Markdown."""

from collections.abc import Mapping
from typing import Any

from emf.quantize.report.tables import (
    Table,
    audio_line,
    bandwidth_table,
    baselines_table,
    components_table,
    machine_line,
    matrix_table,
    variants_table,
)


def to_markdown(document: Mapping[str, Any]) -> str:
    """The document of `report.json` as Markdown."""
    verdict = document["recommendation"]
    parts = [
        f"# {document['artifact']}: which variant to deploy",
        f"**{verdict['variant']}**: {verdict['reason']}",
        machine_line(document),
        audio_line(document),
        "## Variants",
        _table(variants_table(document)),
    ]
    if document.get("baselines"):
        parts += ["## PyTorch on the same audio", _table(baselines_table(document))]
    for backend, rows in document["component_matrix"].items():
        parts += [f"## Which component costs words: {backend}", _table(matrix_table(rows))]
    parts += ["## Time by component", _table(components_table(document))]
    parts += ["## Memory traffic of a chunk", _table(bandwidth_table(document))]
    drift = [
        f"- {v['name']}: {', '.join(f'{value:.1f}' for value in v['drift_db'])}"
        for v in document["variants"]
        if not v["name"].endswith("/fp32")
    ]
    if drift:
        parts += ["## Encoder against fp32, dB by minute of audio", "\n".join(drift)]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    header, rows = table
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
