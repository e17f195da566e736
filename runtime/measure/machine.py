"""The machine that figures were measured on."""

import os
import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from emf.runtime.inference.processor import instruction_sets, processor_info
from emf.runtime.inference.threads import available_processors

_STAT = Path("/proc/stat")
_STATUS = Path("/proc/self/status")
# Position of "steal" among the times of the first line of /proc/stat, see proc(5).
_STOLEN = 7
# Instruction sets that decide how fast and how exact low-precision arithmetic is.
_INSTRUCTION_SETS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and the Python that figures were measured with.

    Attributes:
        processor: its model.
        instruction_sets: those for low-precision arithmetic.
        processors: number of processors to use.
        memory_bytes: memory; 0 where the system does not say.
        system: operating system and architecture.
        python: version.
    """

    processor: str
    instruction_sets: tuple[str, ...]
    processors: int
    memory_bytes: int
    system: str
    python: str


def describe_machine() -> Machine:
    """This machine."""
    info, flags = processor_info(), instruction_sets()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return Machine(
        processor=info.get("model name", platform.processor()),
        instruction_sets=tuple(name for name in _INSTRUCTION_SETS if name in flags),
        processors=available_processors(),
        memory_bytes=memory,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


class StolenTime:
    """How much of the processors' time a hypervisor gave to others since this was made.

    On a shared host latencies measured while much is stolen say more about the neighbours than about the model.
    """

    def __init__(self, stat: Path = _STAT) -> None:
        """Begin now; `stat` is Linux's `/proc/stat`."""
        self._stat = stat
        self._begin = self._times()

    def share(self) -> float | None:
        """Stolen time over all time in which the processors were wanted, 0 to 1; None where nobody tells."""
        now = self._times()
        if self._begin is None or now is None:
            return None
        spent = [after - before for before, after in zip(self._begin, now, strict=True)]
        wanted = sum(spent[:_STOLEN]) - spent[3] - spent[4] + spent[_STOLEN]
        return spent[_STOLEN] / wanted if wanted > 0 else 0.0

    def _times(self) -> list[int] | None:
        try:
            fields = self._stat.read_text(encoding="ascii").split("\n", 1)[0].split()
        except OSError:
            return None
        return [int(value) for value in fields[1 : _STOLEN + 2]] if len(fields) > _STOLEN + 1 else None


def peak_rss_bytes() -> int:
    """Greatest resident memory of this program so far.

    `getrusage` also counts what the parent had before it started this program, so Linux's own figure comes first.
    """
    if _STATUS.is_file():
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
