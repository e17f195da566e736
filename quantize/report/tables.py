"""The report's tables as rows of text, the same for HTML and Markdown."""

from collections.abc import Sequence

from emf.quantize.accuracy import EditTotals
from emf.quantize.report.report import Report, WhatIfReport
from emf.quantize.report.rows import BaselineRow, FailedBaseline, MatrixRow, MemoryTraffic, VariantRow
from emf.runtime.measure.decoding_used import DecodingUsed
from emf.runtime.measure.figures import LatencyStatistics
from emf.runtime.pages.content import Table

_KEPT = "kept KiB"
NARROW_OMITS = frozenset({"p99 ms", "memory MiB", _KEPT, "streams"})
"""Columns of `variants_table` for which a telephone has no room; `details_table` has them too."""


def variants_table(report: Report) -> Table:
    """Words, time and size of every variant, and the state of several artifacts: what a decision is made of."""
    header = ("variant", "WER %", "change (95 %)", "chunk p50 ms", "p99 ms", "MiB", "memory MiB")
    measured = any(row.diagnostics.streams_realtime is not None for row in report.variants)
    rows = [[*_variant_row(row), *_kept(row), *[_streams(row)] * measured] for row in report.variants]
    return (*header, *[_KEPT] * (report.compared is not None), *["streams"] * measured), rows


def _kept(variant: VariantRow) -> list[str]:
    """What a stream keeps, where artifacts may differ in it."""
    return [f"{variant.origin.kept_bytes / 2**10:.1f}"] if variant.origin else []


def artifacts_table(report: Report) -> Table:
    """What each of several artifacts is."""
    origins = dict.fromkeys((row.origin.artifact, row.origin.model) for row in report.variants if row.origin)
    return ("artifact", "the model"), [list(origin) for origin in origins]


def _variant_row(variant: VariantRow) -> list[str]:
    low, high = variant.wer_delta_ci95
    return [
        variant.name,
        f"{100 * variant.wer:.2f}",
        f"{100 * variant.wer_delta:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})",
        f"{variant.figures.chunk_ms.p50:.2f}",
        f"{variant.figures.chunk_ms.p99:.2f}",
        f"{variant.bytes / 2**20:.2f}",
        f"{variant.peak_rss_bytes / 2**20:.0f}",
    ]


def _streams(variant: VariantRow) -> str:
    streams = variant.diagnostics.streams_realtime
    return "not measured" if streams is None else str(streams)


def details_table(report: Report) -> Table:
    """The rest about every variant, for a wide screen."""
    header = ("variant", "of fp32", "S / D / I", "CER %", "tokens as fp32", "chunk p50 / p90 / p99 ms",
              "TTFT p50 ms", "RTF", "memory MiB", *[_KEPT] * (report.compared is not None), "streams",
              "arithmetic")  # fmt: skip
    return header, [_details_row(v) for v in report.variants]


def _details_row(variant: VariantRow) -> list[str]:
    read_back = "/".join(dict.fromkeys(variant.precision.read_back.values()))
    return [
        variant.name,
        f"{100 * variant.size_ratio:.1f} %",
        _edits(variant.edits),
        f"{100 * variant.cer:.2f}",
        f"{100 * variant.token_agreement:.2f} %",
        _latency(variant.figures.chunk_ms),
        f"{variant.figures.ttft_ms.p50:.2f}",
        f"{variant.figures.rtf:.4f}",
        f"{variant.peak_rss_bytes / 2**20:.0f}",
        *_kept(variant),
        _streams(variant),
        read_back + (", not as asked" if variant.precision.mismatch else ""),
    ]


def _latency(chunk_ms: LatencyStatistics) -> str:
    return f"{chunk_ms.p50:.2f} / {chunk_ms.p90:.2f} / {chunk_ms.p99:.2f}"


def _edits(edits: EditTotals) -> str:
    return f"{edits.substitutions} / {edits.deletions} / {edits.insertions}"


def components_table(report: Report) -> Table:
    """Mean milliseconds of a chunk by component."""
    names = list(report.variants[0].figures.components_ms)
    rows = [[v.name, *(f"{v.figures.components_ms[name]:.3f}" for name in names)] for v in report.variants]
    return ("variant", *(f"{name} ms" for name in names)), rows


def drift_table(report: Report) -> Table:
    """Decibels by minute of audio."""
    minutes = max(len(row.diagnostics.drift_db) for row in report.quantized)
    rows = [[row.name, *(f"{value:.1f}" for value in row.diagnostics.drift_db)] for row in report.quantized]
    padded = [[*row, *[""] * (1 + minutes - len(row))] for row in rows]
    return ("variant", *(f"minute {minute}" for minute in range(1, minutes + 1))), padded


def baselines_table(report: Report) -> Table:
    """PyTorch's rows."""
    header = ("PyTorch", "WER %", "chunk p50 / p90 / p99 ms", "TTFT p50 ms", "RTF", "RSS MiB")
    return header, [_baseline_row(row) for row in report.baselines]


def _baseline_row(row: BaselineRow | FailedBaseline) -> list[str]:
    if isinstance(row, FailedBaseline):
        return [row.name, f"did not run: {row.error}", "", "", "", ""]
    return [
        row.name,
        f"{100 * row.wer:.2f}",
        _latency(row.figures.chunk_ms),
        f"{row.figures.ttft_ms.p50:.2f}",
        f"{row.figures.rtf:.4f}",
        f"{row.peak_rss_bytes / 2**20:.0f}",
    ]


def matrix_table(rows: Sequence[MatrixRow]) -> Table:
    """The component matrix of one backend."""
    header = ("encoder", "predictor", "joiner", "WER %", "S / D / I")
    return header, [[row.encoder, row.predictor, row.joiner, f"{100 * row.wer:.2f}", _edits(row.edits)] for row in rows]


def bandwidth_table(report: Report) -> Table:
    """Memory traffic of a chunk."""
    header = ("variant", "weights MiB", "state KiB", "GiB/s in real time", "floor ms", "fits in")
    return header, [_bandwidth_row(variant.name, variant.bandwidth) for variant in report.variants]


def _bandwidth_row(name: str, traffic: MemoryTraffic) -> list[str]:
    return [
        name,
        f"{sum(traffic.weight_bytes.values()) / 2**20:.2f}",
        f"{traffic.state_bytes / 2**10:.1f}",
        f"{traffic.bytes_per_second_realtime / 2**30:.3f}",
        f"{traffic.floor_ms:.3f}",
        traffic.fits_in or "no cache",
    ]


def operators_table(variant: VariantRow, most: int = 8) -> Table:
    """The encoder's operators that take the most time."""
    operators = variant.diagnostics.operators
    total = sum(entry.microseconds for entry in operators) or 1.0
    rows = [
        [
            entry.operator,
            entry.kernel,
            entry.weights,
            f"{entry.calls:.0f}",
            f"{entry.microseconds:.0f}",
            f"{100 * entry.microseconds / total:.0f} %",
        ]
        for entry in operators[:most]
    ]
    return ("operator", "kernel", "weights", "calls a step", "µs a step", "share"), rows


def machine_line(report: Report) -> str:
    """The machine in a sentence."""
    memory, machine = report.machine, report.machine.machine
    caches = ", ".join(f"{level} {size / 2**20:.2g} MiB" for level, size in memory.caches.items())
    return (
        f"{machine.processor}, {machine.processors} processors used, instruction sets "
        f"{', '.join(machine.instruction_sets) or 'unknown'}; caches {caches or 'unknown'}; reads "
        f"{memory.read_bytes_per_second / 2**30:.1f} GiB/s from memory."
    )


def audio_line(report: Report) -> str:
    """Audio and decoding in a sentence."""
    audio = report.audio
    return (
        f"{audio.utterances} utterances of {audio.speakers} speakers, {audio.words} words, "
        f"{audio.seconds / 60:.1f} minutes; {_decoding(report.decoding)}."
    )


def what_if_line(report: WhatIfReport) -> str:
    """Machine and decoding in a sentence."""
    machine = report.machine
    return (
        f"{machine.processor}, {machine.processors} processors used, instruction sets "
        f"{', '.join(machine.instruction_sets) or 'unknown'}; {_decoding(report.decoding)}."
    )


def _decoding(decoding: DecodingUsed) -> str:
    return (
        f"{decoding.method} search of width {decoding.beam_width}, "
        f"{decoding.frontend} features, {decoding.num_threads} threads"
        f"{''.join(f', {name} {value}' for name, value in decoding.unusual.items())}"
    )
