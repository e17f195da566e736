"""The processor that a backend computes on."""

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def processor_info() -> dict[str, str]:
    """Linux's description of the first processor; empty on other systems."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def instruction_sets() -> frozenset[str]:
    """The processor's instruction sets by their Linux names; empty if the system does not report them."""
    return frozenset(processor_info().get("flags", "").split())
