"""An engine's numbers against numpy's, and what falls out of the window."""

from typing import Any

import numpy as np
import pytest

from emf.runtime.engine.batch_times import BatchTimes
from emf.runtime.engine.meter import Meter, Window
from emf.runtime.engine.options import EngineOptions
from emf.runtime.errors import UsageError

GOOD: dict[str, Any] = {
    "deadline_ms": 160.0,
    "max_streams": None,
    "max_batch": 64,
    "max_wait_ms": 20.0,
    "max_queue_ms": 1e4,
    "max_total_queue_ms": 6e5,
    "idle_timeout_ms": 6e4,
    "num_workers": 1,
    "window_ms": 1e4,
}


def meter(**changes: Any) -> Meter:
    return Meter(EngineOptions(**GOOD | changes), 0.16, BatchTimes(), 0.0)


def test_percentiles_are_numpys() -> None:
    latencies = np.random.default_rng(0).exponential(0.05, 300)
    window = Window(10.0, 0.0)
    for index, part in enumerate(np.split(latencies, 100)):
        window.add(0.01 * index, 0.01 * index + 0.005, 3, tuple(part))
    assert window.percentiles_ms(1.0) == pytest.approx(1e3 * np.percentile(latencies, [50, 95, 99]))
    assert window.busy_share(1.0) == pytest.approx(0.5)


def test_the_window_slides() -> None:
    window = Window(10.0, 0.0)
    window.add(0.0, 1.0, 5, (9.0,))
    window.add(8.0, 9.0, 1, (0.1,))
    assert window.batch_sizes(10.0) == [5, 1]
    assert window.batch_sizes(15.0) == [1]
    assert window.percentiles_ms(15.0) == pytest.approx((100.0, 100.0, 100.0))
    assert window.percentiles_ms(30.0) == (0.0, 0.0, 0.0)
    assert window.busy_share(15.0) == pytest.approx(0.1)


def test_counts_and_what_is_recent() -> None:
    m = meter(max_streams=7)
    m.record(0.0, 0.1, (0.05, 0.2, 0.3))
    m.record(0.5, 0.6, (0.1,))
    found = m.metrics(streams=3, ready=2, queued_seconds=0.32, now=1.0)
    assert (found.chunks, found.batches, found.deadline_misses, found.capacity) == (4, 2, 2, 7)
    assert (found.recent_batch_size, found.recent_largest_batch) == (2.0, 3)
    assert found.headroom == pytest.approx(0.8)
    assert (found.streams, found.ready, found.queued_seconds) == (3, 2, 0.32)


def test_no_more_streams_while_the_promise_is_broken() -> None:
    """However much room the batch times seem to leave."""
    m = meter()
    for index in range(98):
        m.record(index, index + 0.001, (0.05,))
    m.record(98.0, 98.001, (0.05, 0.05, 0.2, 0.2))
    assert m.capacity(3, 98.0) > 50, "the window holds too few chunks to say anything"
    for _ in range(98):
        m.record(99.0, 99.001, (0.05,))
    assert m.capacity(3, 99.0) == 3
    assert m.capacity(3, 120.0) > 50, "forgotten with time"


def test_an_engine_that_was_slow_takes_one_stream() -> None:
    m = meter()
    m.record(0.0, 3.0, (0.5,))
    assert m.capacity(0, 5.0) == 1


def test_every_worker_has_room() -> None:
    one, three = meter(), meter(num_workers=3)
    for m in (one, three):
        for size in (1, 2, 3, 4):
            m.record(size, size + 0.01 + 0.004 * size, (0.05,) * size)
    assert three.capacity(0, 9.0) == 3 * one.capacity(0, 9.0) > 0


@pytest.mark.parametrize(
    "change",
    [
        {"deadline_ms": 0.0},
        {"deadline_ms": float("nan")},
        {"idle_timeout_ms": float("inf")},
        {"max_wait_ms": -1.0},
        {"max_streams": 0},
        {"max_batch": 2.5},
        {"num_workers": True},
    ],
    ids=str,
)
def test_options_that_make_no_sense(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        meter(**change)
