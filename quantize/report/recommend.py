"""Which variant to deploy on this machine, and why."""

from collections.abc import Sequence

from emf.quantize.report.report import Recommendation
from emf.quantize.report.rows import VariantRow

_NOTICEABLE = 1.05
"""A variant must be this many times as fast as fp32 to be worth its errors."""


def recommend(variants: Sequence[VariantRow], max_wer_increase: float) -> Recommendation:
    """The fastest variant, by median chunk latency, whose WER stays within the budget.

    Args:
        variants: all that were measured, at least one float variant.
        max_wer_increase: how much more WER than fp32 in the same backend is allowed, 0.003 being 0.3 points.
    """
    floats = [v for v in variants if v.is_float]
    quantized = [v for v in variants if not v.is_float]
    fitting = [v for v in quantized if v.wer_delta <= max_wer_increase]
    fastest_float = min(floats, key=_latency)
    best = min(fitting, key=_latency, default=None)
    if best is None:
        lost = f"none of {len(quantized)} quantized variants stays within {100 * max_wer_increase:g} points of its WER"
        return Recommendation(
            fastest_float.name, f"stay with fp32 here: {lost}" if quantized else "only fp32 was measured"
        )
    speedup = _latency(fastest_float) / _latency(best)
    if speedup < _NOTICEABLE:
        return Recommendation(
            fastest_float.name,
            f"stay with fp32 here: the fastest variant within {100 * max_wer_increase:g} points, {best.name}, takes "
            f"{_latency(best):.2f} ms a chunk against {_latency(fastest_float):.2f} ms ({speedup:.2f} times as fast); "
            f"take it only to save memory ({100 * best.size_ratio:.0f} % of the bytes)",
        )
    low, high = best.wer_delta_ci95
    return Recommendation(
        best.name,
        f"{speedup:.2f} times as fast as {fastest_float.name} ({_latency(best):.2f} against "
        f"{_latency(fastest_float):.2f} ms a chunk at p50) at {100 * best.wer:.2f} % WER, "
        f"{100 * best.wer_delta:+.2f} points (95 % interval {100 * low:+.2f} to {100 * high:+.2f}), "
        f"with {100 * best.size_ratio:.0f} % of the bytes",
    )


def _latency(variant: VariantRow) -> float:
    return variant.figures.chunk_ms.p50
