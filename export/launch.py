"""The commands as they are installed: what they need is imported when they run, so that its absence can be told."""

from emf.runtime.commands.launch import launch

EXTRA = "export"


def export() -> int:
    """emf-export."""
    return launch("emf.export.commands.export", EXTRA)


def verify() -> int:
    """emf-verify."""
    return launch("emf.export.commands.verify", EXTRA)
