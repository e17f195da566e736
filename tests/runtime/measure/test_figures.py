"""Figures: statistics of times, and how dataclasses become JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from emf.runtime.measure.document import INLINE, to_document, to_json
from emf.runtime.measure.figures import LatencyStatistics
from emf.runtime.measure.latency import Measurements


def test_statistics_are_in_milliseconds() -> None:
    statistics = LatencyStatistics.of([0.001 * value for value in range(1, 102)])
    assert (statistics.p50, statistics.p90, statistics.p99) == pytest.approx((51.0, 91.0, 100.0))
    assert statistics.mean == pytest.approx(np.mean(range(1, 102)))


def test_nothing_measured_gives_zeros() -> None:
    zeros = {"mean": 0.0, "p50": 0.0, "p90": 0.0, "p99": 0.0}
    document = to_document(Measurements().figures())
    assert document["chunk_ms"] == zeros and document["rtf"] == 0.0 and document["components_ms"] == {}


@dataclass(frozen=True, slots=True)
class _Inner:
    b: float
    c: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Outer:
    a: int
    inner: _Inner | None = field(metadata=INLINE)
    nested: Mapping[str, tuple[_Inner, ...]]
    d: str | None


def test_inline_fields_stand_in_their_place() -> None:
    inner = _Inner(1.0, ("x",))
    document = to_document(_Outer(1, inner, {"k": (inner,)}, None))
    assert document == {"a": 1, "b": 1.0, "c": ["x"], "nested": {"k": [{"b": 1.0, "c": ["x"]}]}, "d": None}
    assert list(document) == ["a", "b", "c", "nested", "d"]
    assert to_document(_Outer(1, None, {}, "d")) == {"a": 1, "nested": {}, "d": "d"}


def test_numbers_are_rounded_and_counts_are_not() -> None:
    document = to_document(_Outer(123_456_789_012, _Inner(0.1 + 0.2, ()), {}, None))
    assert document["a"] == 123_456_789_012
    assert repr(document["b"]) == "0.3"
    assert to_json({"times": [17 * 0.04, 36_000.16, 3.7e-06]}) == {"times": [0.68, 36_000.16, 3.7e-06]}
