"""How many threads: the affinity mask, the container's quota, what the caller asks for."""

import os
from pathlib import Path
from typing import Any

import pytest

from emf.runtime import UsageError
from emf.runtime.inference import threads


@pytest.mark.parametrize(
    ("content", "quota"),
    [("150000 100000\n", 1.5), ("max 100000\n", None), ("", None), ("garbage", None), ("1 0\n", None)],
)
def test_cgroup_v2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, quota: float | None) -> None:
    (tmp_path / "cpu.max").write_text(content, encoding="ascii")
    monkeypatch.setattr(threads, "_CGROUP_V2", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "_CGROUP_V1", tmp_path / "nowhere")
    assert threads.cgroup_quota() == quota


@pytest.mark.parametrize(("quota", "period", "expected"), [("300000", "100000", 3.0), ("-1", "100000", None)])
def test_cgroup_v1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, period: str, expected: float | None
) -> None:
    (tmp_path / "cpu.cfs_quota_us").write_text(quota, encoding="ascii")
    (tmp_path / "cpu.cfs_period_us").write_text(period, encoding="ascii")
    monkeypatch.setattr(threads, "_CGROUP_V2", tmp_path / "nowhere")
    monkeypatch.setattr(threads, "_CGROUP_V1", tmp_path)
    assert threads.cgroup_quota() == expected


@pytest.mark.parametrize(("affinity", "quota", "expected"), [(8, None, 8), (8, 2.5, 3), (2, 16.0, 2), (4, 0.1, 1)])
def test_the_smaller_of_affinity_and_quota(
    monkeypatch: pytest.MonkeyPatch, affinity: int, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    monkeypatch.setattr(threads, "cgroup_quota", lambda: quota)
    assert threads.available_processors() == expected
    assert threads.resolve_num_threads(None) == expected
    assert threads.resolve_num_threads(7) == 7


@pytest.mark.parametrize("number", [0, -1, 1025, 1.5, "2", True], ids=repr)
def test_impossible_numbers(number: Any) -> None:
    with pytest.raises(UsageError, match="num_threads"):
        threads.resolve_num_threads(number)
