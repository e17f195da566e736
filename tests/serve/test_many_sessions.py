"""Memory after many sessions, in a process that does nothing else; `tools/repeat_sessions.py` holds thousands."""

import asyncio
import sys
from pathlib import Path

from tests.signals import speech_like

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from client_bytes import client_bytes
from repeat_sessions import FLAGS, grow
from serving_process import serving_process

SESSIONS, WARM_UP, ROUNDS = 200, 200, 4
MOST_BYTES = 6_000
"""In each session. Behind so few, memory still settles, by half of that; a session that stays takes as much more."""


def test_short_sessions_leave_no_memory_behind(tiny_artifact: Path) -> None:
    with serving_process(tiny_artifact, FLAGS) as process:
        clients = client_bytes(process.addresses, speech_like(0.3))
        slope, files = asyncio.run(grow(process, clients, SESSIONS, WARM_UP))
        for _ in range(ROUNDS - 1):  # what settles grows less in each round, what leaks does not
            if slope < MOST_BYTES:
                break
            slope, files = asyncio.run(grow(process, clients, SESSIONS, 0))
    assert slope < MOST_BYTES
    assert files <= 0
