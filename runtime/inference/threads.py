"""How many threads to use: what this process may really run on, not what the machine has."""

import math
import os
from pathlib import Path

from emf.runtime.errors import UsageError

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")
MAX_THREADS = 1024


def _quota_v2(path: Path) -> float | None:
    try:
        quota, period = path.read_text(encoding="ascii").split()[:2]
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


def cgroup_quota() -> float | None:
    """Processors that the container's quota allows, or `None` without one."""
    quota = _quota_v2(_CGROUP_V2)
    return _quota_v1(_CGROUP_V1) if quota is None else quota


def available_processors() -> int:
    """Processors within both the affinity mask and the container's quota; at least 1."""
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
