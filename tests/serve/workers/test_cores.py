"""Which processors workers get, on machines that are described in a folder."""

import os
from pathlib import Path

import pytest

from emf.serve.workers.cores import own_cores


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two memory nodes with two cores of two threads each; siblings are 0 and 4, 1 and 5, and so on."""
    for node, cpus in enumerate(("0-1,4-5", "2-3,6-7")):
        (tmp_path / f"node{node}").mkdir()
        (tmp_path / f"node{node}" / "cpulist").write_text(f"{cpus}\n")
    for cpu in range(8):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    return tmp_path


def test_cores_of_a_worker_lie_on_one_node(machine: Path) -> None:
    assert own_cores(4, 2, machine, machine) == [(0, 4), (1, 5), (2, 6), (3, 7)]
    assert own_cores(2, 4, machine, machine) == [(0, 4, 1, 5), (2, 6, 3, 7)]


@pytest.mark.parametrize(("workers", "threads"), [(3, 2), (8, 2), (1, 8)])
def test_nobody_is_pinned_where_it_would_not_fit(machine: Path, workers: int, threads: int) -> None:
    assert own_cores(workers, threads, machine, machine) == [()] * workers


def test_a_machine_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert own_cores(2, 1, tmp_path, tmp_path) == [(3,), (5,)]
