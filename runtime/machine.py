"""The machine that figures were measured on."""

import os
import platform
from pathlib import Path
from typing import Any

from emf.runtime.threads import available_processors

_CPUINFO = Path("/proc/cpuinfo")
# Instruction sets that decide how fast and how exact low-precision arithmetic is.
_INSTRUCTION_SETS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def _cpuinfo() -> dict[str, str]:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def describe_machine() -> dict[str, Any]:
    """Processor, instruction sets, processors to use, memory, system."""
    info = _cpuinfo()
    flags = set(info.get("flags", "").split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "processor": info.get("model name", platform.processor()),
        "instruction_sets": [name for name in _INSTRUCTION_SETS if name in flags],
        "processors": available_processors(),
        "memory_bytes": memory,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
