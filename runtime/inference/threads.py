"""How many threads to use: what this process may really run on, not what the machine has."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

from emf.runtime.errors import UsageError

_GROUPS = Path("/proc/self/cgroup")
_MOUNTS = Path("/sys/fs/cgroup")
MAX_THREADS = 1024


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return None if quota <= 0 else quota / period
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _group_folders(groups: Path, mounts: Path) -> Iterator[tuple[Path, Path]]:
    """Where the hierarchies that may limit processors are mounted, and this process's group below each.

    A line is `number:controllers:path`; version 2 has no controllers.
    """
    try:
        lines = [line.split(":", 2) for line in os.fsdecode(groups.read_bytes()).splitlines()]
    except OSError:
        lines = []
    paths = {controllers: path for _, controllers, path in (line for line in lines if len(line) == 3)}
    version_1 = next((path for names, path in paths.items() if "cpu" in names.split(",")), "/")
    for mount, path in (("", paths.get("", "/")), ("unified", paths.get("", "/")), ("cpu", version_1)):
        inside = [part for part in path.split("/") if part not in ("", "..")]
        yield mounts / mount, (mounts / mount).joinpath(*inside)


def cgroup_quota(groups: Path = _GROUPS, mounts: Path = _MOUNTS) -> float | None:
    """The fewest processors that the quota of this process's control group, or of one around it, allows.

    Args:
        groups: names the process's groups.
        mounts: folder of the hierarchies.

    Returns:
        `None` without a quota.
    """
    quotas: list[float | None] = []
    for mount, group in _group_folders(groups, mounts):
        around = [folder for folder in (group, *group.parents) if folder.is_relative_to(mount)]
        quotas += [quota(folder) for folder in around for quota in (_quota_v2, _quota_v1)]
    return min((quota for quota in quotas if quota is not None), default=None)


def available_processors() -> int:
    """Processors within both the affinity mask and the quota of control groups; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota()
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def resolve_num_threads(num_threads: int | None) -> int:
    """The number asked for, or as many as there are processors to use.

    Raises:
        UsageError: not a number from 1 to 1024.
    """
    if num_threads is None:
        return available_processors()
    if not isinstance(num_threads, int) or isinstance(num_threads, bool) or not 1 <= num_threads <= MAX_THREADS:
        raise UsageError(f"expected num_threads from 1 to {MAX_THREADS}, found {num_threads!r}")
    return num_threads
