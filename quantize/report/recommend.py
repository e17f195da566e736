"""Which variant to deploy on this machine, and why."""

from collections.abc import Sequence

from emf.quantize.report.report import Recommendation
from emf.quantize.report.rows import VariantRow, reference_of

_NOTICEABLE = 1.05
"""A variant must be this many times as fast as fp32 to be worth its errors."""


def recommend(variants: Sequence[VariantRow], max_wer_increase: float) -> Recommendation:
    """The fastest variant, by median chunk latency for as much audio, whose WER stays within the budget.

    Args:
        variants: all that were measured of one artifact or of several, at least one float variant.
        max_wer_increase: how much more WER is allowed than that of what a variant is compared with, 0.003 being 0.3
            points.
    """
    latency = {v.name: _latency(v, reference_of(v, variants)) for v in variants}
    floats = [v for v in variants if reference_of(v, variants) is v]
    others = [v for v in variants if reference_of(v, variants) is not v]
    fitting = [v for v in others if v.wer_delta <= max_wer_increase]
    fastest_float = min(floats, key=lambda v: latency[v.name])
    best = min(fitting, key=lambda v: latency[v.name], default=None)
    stay = "stay with fp32 here" if fastest_float.origin is None else f"stay with {fastest_float.name} here"
    if best is None:
        kind = "quantized" if fastest_float.origin is None else "other"
        lost = f"none of {len(others)} {kind} variants stays within {100 * max_wer_increase:g} points of its WER"
        return Recommendation(fastest_float.name, f"{stay}: {lost}" if others else "only fp32 was measured")
    before, after = latency[fastest_float.name], latency[best.name]
    speedup, unit = before / after, _unit(best, fastest_float)
    saved = _saved(best, reference_of(best, variants))
    if speedup < _NOTICEABLE:
        return Recommendation(
            fastest_float.name,
            f"{stay}: the fastest variant within {100 * max_wer_increase:g} points, {best.name}, takes "
            f"{after:.2f} {unit} against {before:.2f} ms ({speedup:.2f} times as fast); "
            f"take it only to save memory ({saved}){_model(best)}",
        )
    low, high = best.wer_delta_ci95
    return Recommendation(
        best.name,
        f"{speedup:.2f} times as fast as {fastest_float.name} ({after:.2f} against {before:.2f} {unit} at p50) at "
        f"{100 * best.wer:.2f} % WER, "
        f"{100 * best.wer_delta:+.2f} points (95 % interval {100 * low:+.2f} to {100 * high:+.2f}), "
        f"with {saved}{_model(best)}",
    )


def _latency(row: VariantRow, reference: VariantRow) -> float:
    """Median time of a chunk; where segments are longer or shorter, of as much audio as in a reference's chunk."""
    median = row.figures.chunk_ms.p50
    if row.origin is None or reference.origin is None:
        return median
    return median * reference.origin.chunk_seconds / row.origin.chunk_seconds


def _unit(row: VariantRow, reference: VariantRow) -> str:
    seconds = [one.origin.chunk_seconds for one in (row, reference) if one.origin]
    return "ms a chunk" if len(set(seconds)) < 2 else f"ms for {1000 * seconds[1]:.0f} ms of audio"


def _saved(row: VariantRow, reference: VariantRow) -> str:
    """What is left of the bytes, and where artifacts differ of a stream's state."""
    left = f"{100 * row.size_ratio:.0f} % of the bytes"
    if row.origin is None or reference.origin is None or row.origin.artifact == reference.origin.artifact:
        return left
    return f"{left} and {100 * row.origin.kept_bytes / reference.origin.kept_bytes:.0f} % of what a stream keeps"


def _model(row: VariantRow) -> str:
    """The conversion in words."""
    return "" if row.origin is None else f"; {row.origin.artifact} is the model {row.origin.model}"
