"""Which processors each worker runs on: its own, near each other, and near its memory."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

_LOGGER = logging.getLogger(__name__)
_NODES = Path("/sys/devices/system/node")
_CPUS = Path("/sys/devices/system/cpu")


def own_cores(workers: int, threads: int, nodes: Path = _NODES, cpus: Path = _CPUS) -> list[tuple[int, ...]]:
    """The processors of each worker.

    They are those that this process may use, memory node by memory node, the threads of a core side by side. Workers
    get none of their own where they would leave some to nobody, or need more than there are: the system then
    distributes them better.

    Args:
        workers: their number.
        threads: of each.
        nodes: where the system lists its memory nodes.
        cpus: where the system lists its processors.
    """
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if workers * threads != len(usable) or workers == 1:
        return [()] * workers
    ordered = sorted(usable, key=lambda cpu: (_node_of(cpu, nodes), _core_of(cpu, cpus), cpu))
    return [tuple(ordered[at : at + threads]) for at in range(0, len(ordered), threads)]


def pin(cores: Sequence[int]) -> None:
    """Keep this process on some processors; on all where none is named, or the system does not let it choose."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        return
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        _LOGGER.warning("processors cannot be chosen (%s)", error.strerror)


def _node_of(cpu: int, nodes: Path) -> int:
    """The memory node of a processor; 0 where the system tells none."""
    for folder in nodes.glob("node[0-9]*"):
        if (folder / f"cpu{cpu}").exists() or cpu in _listed(folder / "cpulist"):
            return int(folder.name.removeprefix("node"))
    return 0


def _core_of(cpu: int, cpus: Path) -> int:
    """The first processor of the same core."""
    return min(_listed(cpus / f"cpu{cpu}" / "topology" / "thread_siblings_list"), default=cpu)


def _listed(file: Path) -> set[int]:
    """The numbers of a list such as `0-3,8`."""
    try:
        text = file.read_text(encoding="ascii").strip()
        spans = [span.split("-") for span in text.split(",") if span]
        return {number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)}
    except (OSError, ValueError):
        return set()
