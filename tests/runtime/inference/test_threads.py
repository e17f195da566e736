"""How many threads: the affinity mask, the container's quota, what the caller asks for."""

import os
from pathlib import Path
from typing import Any

import pytest

from emf.runtime import UsageError
from emf.runtime.inference import threads


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """What names the process's control groups: the root of both versions."""
    write(tmp_path / "groups", "1:cpu,cpuacct:/\n0::/\n")
    return tmp_path / "groups"


@pytest.mark.parametrize(
    ("content", "quota"),
    [("150000 100000\n", 1.5), ("max 100000\n", None), ("", None), ("garbage", None), ("1 0\n", None)],
)
def test_cgroup_v2(tmp_path: Path, groups: Path, content: str, quota: float | None) -> None:
    write(tmp_path / "mounts" / "cpu.max", content)
    assert threads.cgroup_quota(groups, tmp_path / "mounts") == quota
    assert threads.cgroup_quota(tmp_path / "nowhere", tmp_path / "mounts") == quota


@pytest.mark.parametrize(("quota", "period", "expected"), [("300000", "100000", 3.0), ("-1", "100000", None)])
def test_cgroup_v1(tmp_path: Path, groups: Path, quota: str, period: str, expected: float | None) -> None:
    write(tmp_path / "mounts" / "cpu" / "cpu.cfs_quota_us", quota)
    write(tmp_path / "mounts" / "cpu" / "cpu.cfs_period_us", period)
    assert threads.cgroup_quota(groups, tmp_path / "mounts") == expected


NESTED = {
    "own": ({"a/b/c": 1.0, "a": 4.0}, 1.0),
    "of a parent": ({"a/b/c": 8.0, "a/b": 2.5, "a": 4.0}, 2.5),
    "of the root": ({"": 3.0}, 3.0),
    "of a neighbour": ({"a/x": 1.0, "a/b/c/d": 1.0}, None),
}


@pytest.mark.parametrize("case", NESTED)
@pytest.mark.parametrize(("version", "mount"), [(2, ""), (2, "unified"), (1, "cpu")])
def test_nested_groups(tmp_path: Path, version: int, mount: str, case: str) -> None:
    write(
        tmp_path / "groups", "7:memory:/other\n" + ("0::/a/b/c\n" if version == 2 else "4:cpu,cpuacct:/a/b/c\n0::/\n")
    )
    quotas, expected = NESTED[case]
    for group, quota in quotas.items():
        folder = tmp_path / "mounts" / mount / group
        if version == 2:
            write(folder / "cpu.max", f"{round(quota * 1e5)} 100000\n")
        else:
            write(folder / "cpu.cfs_quota_us", str(round(quota * 1e5)))
            write(folder / "cpu.cfs_period_us", "100000")
    assert threads.cgroup_quota(tmp_path / "groups", tmp_path / "mounts") == expected


@pytest.mark.parametrize("path", ["/../../etc", "/gone", "/with:colon", "/caf\udce9", "", "/a b"])
def test_groups_that_are_not_mounted_here(tmp_path: Path, path: str) -> None:
    """A container may see its own group as the root, under another path than the host's."""
    (tmp_path / "groups").write_bytes(os.fsencode(f"0::{path}\nnonsense\n"))
    write(tmp_path / "mounts" / "cpu.max", "200000 100000\n")
    write(tmp_path / "etc" / "cpu.max", "100000 100000\n")
    assert threads.cgroup_quota(tmp_path / "groups", tmp_path / "mounts") == 2.0


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
