"""How many streams can be carried: the line through batch times, and a simulation that keeps the promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.engine.batch_times import BatchTimes


def seen(fixed: float, each: float, sizes: list[int], noise: float = 0.0) -> BatchTimes:
    random, times = np.random.default_rng(0), BatchTimes()
    for size in sizes:
        times.add(size, (fixed + each * size) * (1.0 + noise * random.standard_normal()))
    return times


@given(fixed=st.floats(1e-4, 0.05), each=st.floats(1e-4, 0.01), sizes=st.lists(st.integers(1, 64), min_size=2))
def test_finds_the_line(fixed: float, each: float, sizes: list[int]) -> None:
    times = seen(fixed, each, sizes)
    if len(set(sizes)) > 1:
        assert times.line() == pytest.approx((fixed, each), rel=1e-4, abs=1e-7)
        assert times.expected(40) == pytest.approx(fixed + 40 * each, rel=1e-4)
    else:
        assert times.expected(sizes[0]) == pytest.approx(fixed + each * sizes[0])


def test_forgets_what_was_long_ago() -> None:
    times = seen(0.1, 0.1, [1, 2, 3] * 100)
    for size in [1, 5, 20] * 700:
        times.add(size, 0.01 + 0.002 * size)
    assert times.line() == pytest.approx((0.01, 0.002), rel=0.01)


def test_one_size_is_read_with_caution() -> None:
    """Nothing tells what a larger batch saves, so as if it saved nothing."""
    assert seen(0.010, 0.001, [1, 1, 1]).line() == pytest.approx((0.0, 0.011))


def test_nothing_seen_refuses_nobody() -> None:
    assert BatchTimes().capacity(0.16, 0.16, 0.02) > 1000
    assert BatchTimes().expected(10) == 0.0


def test_a_machine_that_is_too_slow_carries_none() -> None:
    assert seen(0.3, 0.1, [1, 2, 4]).capacity(0.16, 0.16, 0.02) == 0


def worst_latency(streams: int, fixed: float, each: float, period: float, max_wait: float) -> float:
    """One worker, streams at random phases, each batch takes all that is ready after the first has waited."""
    phases = np.random.default_rng(streams).uniform(0.0, period, streams)
    arrivals = np.sort((phases[:, None] + period * np.arange(50)).reshape(-1))
    now, done, worst = 0.0, 0, 0.0
    while done < len(arrivals):
        now = max(now, arrivals[done] + max_wait)
        ready = int(np.searchsorted(arrivals, now, side="right"))
        now += fixed + each * (ready - done)
        worst = max(worst, now - arrivals[done])
        done = ready
    return float(worst)


@given(fixed=st.floats(0.0005, 0.02), each=st.floats(0.0003, 0.02))
def test_what_it_says_can_be_carried_is_carried(fixed: float, each: float) -> None:
    times = seen(fixed, each, [1, 2, 4, 8, 16] * 20, noise=0.01)
    capacity = times.capacity(0.16, 0.16, 0.02)
    if capacity:
        assert worst_latency(capacity, fixed, each, 0.16, 0.02) <= 0.16


@given(each=st.floats(0.001, 0.01))
def test_it_is_not_much_too_careful(each: float) -> None:
    """At twice and a half what it says, the promise breaks, or all streams together take longer than a segment."""
    capacity = seen(0.002, each, [1, 2, 4, 8, 16]).capacity(0.16, 0.16, 0.02)
    assert worst_latency(int(2.5 * capacity) + 3, 0.002, each, 0.16, 0.02) > 0.16
