"""How long a session may last and how much may wait in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Limits of a session; times in seconds.

    Attributes:
        idle_timeout: without any message of the client.
        max_session: from its begin.
        max_backlog: audio that arrived and waits to be decoded.
        park_after: without audio, after which a session gives its streams back, and keeps only their state.
        flush_after: without audio, after which the state is given up, too: the last words become final.
        most_marks: marks and flushes that wait for their answer.
    """

    idle_timeout: float = 60.0
    max_session: float = 3600.0
    max_backlog: float = 300.0
    park_after: float = 5.0
    flush_after: float = 30.0
    most_marks: int = 1_000
