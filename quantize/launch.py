"""The commands as they are installed: what they need is imported when they run, so that its absence can be told."""

from emf.runtime.commands.launch import launch

EXTRA = "quantize"


def quantize() -> int:
    """emf-quantize."""
    return launch("emf.quantize.commands.quantize", EXTRA)


def report() -> int:
    """emf-report."""
    return launch("emf.quantize.commands.report", EXTRA)
