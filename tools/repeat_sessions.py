"""Hold short sessions with a server, one after the other by every protocol, and see whether its memory stays.

The slope is that of a line through the resident memory of the server's process, after some sessions by which it gets
warm. Every session gets its whole text.

Example:
    python tools/repeat_sessions.py artifacts/demo --audio export/demo/recordings/date.flac --sessions 2000
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from client_bytes import ClientBytes, client_bytes
from serving_process import ServingProcess, serving_process

from emf.runtime.speech.recordings import read_recordings

_SAMPLE_RATE = 16_000
FLAGS = ("--wyoming-port", "0", "--max-streams", "64", "--num-threads", "1", "--resume-window", "0")
"""Of the server, for `grow`."""
_AT_ONCE = 8
_EVERY = 40
_WARM_UP = 3000
_SECONDS = 0.5
_PATIENCE = 30.0
MOST_BYTES = 1024.0
"""That memory may grow by in each session."""


async def hold_session(client: ClientBytes) -> bytes:
    """Say all of it at once, and hear everything up to the end; what was heard, as bytes from the wire."""
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        try:
            if client.request:
                writer.write(client.request)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            heard = b""
            for message in client.messages:
                writer.write(message)
            while not client.is_end(heard):
                heard += await reader.read(65_536)
            return heard
        finally:
            writer.close()
            await writer.wait_closed()


async def hold_sessions(protocols: Mapping[str, ClientBytes], count: int) -> None:
    """Hold so many, some at once, the protocols taking turns."""
    clients = list(protocols.values())
    for begin in range(0, count, _AT_ONCE):
        numbers = range(begin, min(begin + _AT_ONCE, count))
        await asyncio.gather(*(hold_session(clients[number % len(clients)]) for number in numbers))


async def grow(
    process: ServingProcess, protocols: Mapping[str, ClientBytes], sessions: int, warm_up: int
) -> tuple[float, int]:
    """Bytes of memory by which the server grows in a session, and files that are open at last but not at first.

    Args:
        process: the server.
        protocols: to speak in turns.
        sessions: to measure.
        warm_up: sessions before, in which buffers reach their sizes.
    """
    files = process.descriptors()
    await hold_sessions(protocols, warm_up)
    held, memory = [], []
    for done in range(0, sessions, _EVERY):
        await hold_sessions(protocols, _EVERY)
        held.append(done + _EVERY)
        memory.append(process.resident_bytes())
    slope = float(np.polyfit(held, memory, 1)[0])
    await asyncio.sleep(1.0)
    return slope, process.descriptors() - files


def main() -> int:
    """Hold as many as asked for; the exit status is 1 where memory grows, or files stay open."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--warm-up", type=int, default=_WARM_UP, help="sessions before")
    given = parser.parse_args()
    (samples,) = read_recordings([given.audio], _SAMPLE_RATE, _SECONDS)
    with serving_process(given.artifact, FLAGS) as process:
        slope, files = asyncio.run(
            grow(process, client_bytes(process.addresses, samples), given.sessions, given.warm_up)
        )
    sys.stdout.write(f"sessions: {given.sessions}, behind {given.warm_up} others\n")
    sys.stdout.write(f"resident memory grows by {slope:.0f} bytes a session\n")
    sys.stdout.write(f"open files: {files:+d}\n")
    return 0 if slope < MOST_BYTES and files <= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
