"""The commands as they are installed: what they need is imported when they run, so that its absence can be told."""

from emf.runtime.command_line import launch

EXTRA = "quantize"


def quantize() -> int:
    """emf-quantize."""
    return launch("emf.quantize.command", EXTRA)


def report() -> int:
    """emf-report."""
    return launch("emf.quantize.report_command", EXTRA)
