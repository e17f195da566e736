"""The model of capacity: it finds costs that are known, and the simulation ends where arithmetic says."""

import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from capacity_model import Measured, StepCost, fit
from capacity_simulation import Machine, capacity, simulate

COST = StepCost(0.004, 0.0018, 0.0004, 1.1, 80e6, 4.8e6)
CHUNK = 0.16


def measured_by(cost: StepCost) -> list[Measured]:
    kinds = [(1, 1), (2, 1), (1, 2)]
    return [
        Measured(processes, threads, streams, cost.compute(streams, threads, alone=processes == 1))
        for processes, threads in kinds
        for streams in (1, 8, 24)
    ]


def test_the_fit_finds_the_costs() -> None:
    found = fit(measured_by(COST), COST.weight_bytes, COST.state_bytes)
    assert (found.fixed, found.parallel, found.locked, found.slowdown) == pytest.approx((0.004, 0.0018, 0.0004, 1.1))
    with pytest.raises(ValueError, match="found 3, 0 and 3"):
        fit([one for one in measured_by(COST) if one.processes == 1], 1.0, 1.0)


def test_busy_neighbours_cost_what_the_most_of_them_do() -> None:
    """Sixteen processes on processors that share a core: a step takes half as much again."""
    sixteen = [Measured(16, 1, n, 1.5 * COST.compute(n, 1, alone=True)) for n in (1, 8, 24)]
    found = fit(measured_by(COST) + sixteen, COST.weight_bytes, COST.state_bytes)
    assert (found.fixed, found.parallel, found.locked, found.slowdown) == pytest.approx((0.004, 0.0018, 0.0004, 1.5))


def test_one_worker_of_two_threads_carries_less_than_two_of_one() -> None:
    assert 2 * COST.streams(1, math.inf, CHUNK) > 1.1 * COST.streams(2, math.inf, CHUNK)


def test_memory_limits_beyond_the_bandwidth_that_a_worker_needs() -> None:
    needed = COST.bandwidth_for(1, CHUNK)
    most = COST.streams(1, math.inf, CHUNK)
    assert COST.streams(1, 1.01 * needed, CHUNK) == pytest.approx(most)
    assert COST.streams(1, 0.5 * needed, CHUNK) < 0.5 * most


@pytest.mark.parametrize("workers", [1, 8])
def test_the_simulation_carries_what_the_model_says(workers: int) -> None:
    """Where chunks wait for the step before theirs, two steps must fit into the deadline of two chunks."""
    expected = workers * COST.streams(1, math.inf, CHUNK)
    found = capacity(COST, Machine(workers, 1, math.inf), CHUNK, 2 * CHUNK)
    assert found == pytest.approx(expected, rel=0.06)


def test_a_step_alone_takes_its_time() -> None:
    load = simulate(COST, Machine(4, 1, math.inf, front=0.001), 1, CHUNK)
    assert load.p99 == pytest.approx(0.001 + COST.step(1, 1, math.inf))


def test_memory_and_front_limit_the_simulation() -> None:
    needed = 8 * COST.bandwidth_for(1, CHUNK)
    free = capacity(COST, Machine(8, 1, math.inf), CHUNK, 2 * CHUNK)
    assert capacity(COST, Machine(8, 1, 1.2 * needed), CHUNK, 2 * CHUNK) > 0.9 * free
    assert capacity(COST, Machine(8, 1, 0.5 * needed), CHUNK, 2 * CHUNK) < 0.6 * free
    assert capacity(COST, Machine(8, 1, math.inf, front=CHUNK / 100), CHUNK, 2 * CHUNK) <= 106
    assert capacity(COST, Machine(8, 1, math.inf, front=CHUNK / 100, fronts=8), CHUNK, 2 * CHUNK) > 0.9 * free
