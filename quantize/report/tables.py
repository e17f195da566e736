"""The report's tables as rows of text, the same for HTML and Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


def variants_table(document: Mapping[str, Any]) -> Table:
    """Words, size and speed of every variant and of PyTorch's rows."""
    header = ("variant", "MiB", "of fp32", "WER %", "S / D / I", "CER %", "WER change (95 %)", "tokens as fp32",
              "chunk p50 / p90 / p99 ms", "TTFT p50 ms", "RTF", "RSS MiB", "streams", "arithmetic")  # fmt: skip
    return header, [_variant_row(v) for v in document["variants"]]


def _variant_row(variant: Mapping[str, Any]) -> list[str]:
    low, high = variant["wer_delta_ci95"]
    chunk = variant["chunk_ms"]
    streams = variant["streams_realtime"]
    read_back = "/".join(dict.fromkeys(variant["precision"]["read_back"].values()))
    mismatch = variant["precision"]["mismatch"]
    return [
        variant["name"],
        f"{variant['bytes'] / 2**20:.2f}",
        f"{100 * variant['size_ratio']:.1f} %",
        f"{100 * variant['wer']:.2f}",
        f"{variant['substitutions']} / {variant['deletions']} / {variant['insertions']}",
        f"{100 * variant['cer']:.2f}",
        f"{100 * variant['wer_delta']:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})",
        f"{100 * variant['token_agreement']:.2f} %",
        f"{chunk['p50']:.2f} / {chunk['p90']:.2f} / {chunk['p99']:.2f}",
        f"{variant['ttft_ms']['p50']:.2f}",
        f"{variant['rtf']:.4f}",
        f"{variant['peak_rss_bytes'] / 2**20:.0f}",
        "not measured" if streams is None else str(streams),
        read_back + (", not as asked" if mismatch else ""),
    ]


def components_table(document: Mapping[str, Any]) -> Table:
    """Mean milliseconds of a chunk by component."""
    names = list(document["variants"][0]["components_ms"])
    rows = [[v["name"], *(f"{v['components_ms'][name]:.3f}" for name in names)] for v in document["variants"]]
    return ("variant", *(f"{name} ms" for name in names)), rows


def baselines_table(document: Mapping[str, Any]) -> Table:
    """PyTorch's rows."""
    header = ("PyTorch", "WER %", "chunk p50 / p90 / p99 ms", "TTFT p50 ms", "RTF", "RSS MiB")
    return header, [_baseline_row(row) for row in document.get("baselines", [])]


def _baseline_row(row: Mapping[str, Any]) -> list[str]:
    if "error" in row:
        return [row["name"], f"did not run: {row['error']}", "", "", "", ""]
    chunk = row["chunk_ms"]
    return [
        row["name"],
        f"{100 * row['wer']:.2f}",
        f"{chunk['p50']:.2f} / {chunk['p90']:.2f} / {chunk['p99']:.2f}",
        f"{row['ttft_ms']['p50']:.2f}",
        f"{row['rtf']:.4f}",
        f"{row['peak_rss_bytes'] / 2**20:.0f}",
    ]


def matrix_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The component matrix of one engine."""
    header = ("encoder", "predictor", "joiner", "WER %", "S / D / I")
    return header, [
        [
            row["encoder"],
            row["predictor"],
            row["joiner"],
            f"{100 * row['wer']:.2f}",
            f"{row['substitutions']} / {row['deletions']} / {row['insertions']}",
        ]
        for row in rows
    ]


def bandwidth_table(document: Mapping[str, Any]) -> Table:
    """Memory traffic of a chunk."""
    header = ("variant", "weights MiB", "state KiB", "GiB/s in real time", "floor ms", "fits in")
    rows = []
    for variant in document["variants"]:
        audit = variant["bandwidth"]
        rows.append(
            [
                variant["name"],
                f"{sum(audit['weight_bytes'].values()) / 2**20:.2f}",
                f"{audit['state_bytes'] / 2**10:.1f}",
                f"{audit['bytes_per_second_realtime'] / 2**30:.3f}",
                f"{audit['floor_ms']:.3f}",
                audit["fits_in"] or "no cache",
            ]
        )
    return header, rows


def operators_table(variant: Mapping[str, Any], most: int = 8) -> Table:
    """The encoder's operators that take the most time."""
    total = sum(entry["microseconds"] for entry in variant["operators"]) or 1.0
    rows = [
        [
            entry["operator"],
            entry["kernel"],
            f"{entry['calls']:.0f}",
            f"{entry['microseconds']:.0f}",
            f"{100 * entry['microseconds'] / total:.0f} %",
        ]
        for entry in variant["operators"][:most]
    ]
    return ("operator", "kernel", "calls a step", "µs a step", "share"), rows


def machine_line(document: Mapping[str, Any]) -> str:
    """The machine in a sentence."""
    machine = document["machine"]
    caches = ", ".join(f"{level} {size / 2**20:.2g} MiB" for level, size in machine["caches"].items())
    return (
        f"{machine['processor']}, {machine['processors']} processors used, instruction sets "
        f"{', '.join(machine['instruction_sets']) or 'unknown'}; caches {caches or 'unknown'}; reads "
        f"{machine['read_bytes_per_second'] / 2**30:.1f} GiB/s from memory."
    )


def audio_line(document: Mapping[str, Any]) -> str:
    """Audio and decoding in a sentence."""
    audio, decoding = document["audio"], document["decoding"]
    return (
        f"{audio['utterances']} utterances of {audio['speakers']} speakers, {audio['words']} words, "
        f"{audio['seconds'] / 60:.1f} minutes; {decoding['method']} search of width {decoding['beam_width']}, "
        f"{decoding['frontend']} features, {decoding['num_threads']} threads."
    )
