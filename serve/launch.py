"""The commands as they are installed: what they need is imported when they run, so that its absence can be told."""

from emf.runtime.commands.launch import launch

EXTRA = "serve"


def serve() -> int:
    """emf-serve."""
    return launch("emf.serve.commands.serve", EXTRA)


def stream() -> int:
    """emf-stream."""
    return launch("emf.serve.commands.stream", EXTRA)


def load() -> int:
    """emf-load."""
    return launch("emf.serve.commands.load", EXTRA)
