"""Cut connections to a server at random moments, by every protocol, and see whether it has all back afterwards.

A connection is cut within its handshake, within a message, between messages, or while its last text is awaited: by a
reset, by a plain close, or by falling silent for ever without either. The server runs in a process of its own; what
it holds (sessions, streams, open files, memory) is compared with what it held after as many cuts before. Another client
speaks all the while, and its text must come.

Example:
    python tools/cut_connections.py artifacts/demo --audio export/demo/recordings/date.flac --connections 1000
"""

import argparse
import asyncio
import random
import socket
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from client_bytes import ClientBytes, client_bytes
from serving_process import ServingProcess, serving_process

from emf.runtime.arrays import FloatArray
from emf.runtime.speech.recordings import read_recordings
from emf.serve.load.call import Server, call
from emf.serve.load.clients import CLIENTS, address

_SAMPLE_RATE = 16_000
_SILENT_SHARE = 0.05
_AT_ONCE = 24
_RESET = struct.pack("ii", 1, 0)
_PATIENCE = 30.0
_FLAGS = (
    "--wyoming-port",
    "0",
    "--max-streams",
    "64",
    "--resume-window",
    "1",
    "--idle-timeout",
    "10",
    "--num-threads",
    "1",
)
_FORGET_SECONDS = 60.0
"""Two ping time-outs, and some more."""
_MEMORY_NOISE = 8 * 2**20


class Way(Enum):
    """How a connection is cut."""

    RESET = auto()
    CLOSE = auto()
    SILENCE = auto()


class Cutter:
    """Opens connections and cuts them.

    Attributes:
        silent: sockets of peers that answer nothing any more.
        refused: connections for which there was no place.
    """

    def __init__(self, protocols: Mapping[str, ClientBytes], seed: int = 0) -> None:
        self._protocols, self._chance = list(protocols.values()), random.Random(seed)
        self.silent: list[socket.socket] = []
        self.refused = 0

    async def cut(self, connections: int, silent_share: float = _SILENT_SHARE) -> None:
        """Cut so many, some at once; that share of them falls silent."""
        for begin in range(0, connections, _AT_ONCE):
            numbers = range(begin, min(begin + _AT_ONCE, connections))
            await asyncio.gather(*(self._cut(number, silent_share) for number in numbers))

    def close(self) -> None:
        """Close the sockets of silent peers."""
        for peer in self.silent:
            peer.close()

    async def _cut(self, number: int, silent_share: float) -> None:
        client = self._protocols[number % len(self._protocols)]
        way = Way.SILENCE if self._chance.random() < silent_share else self._chance.choice([Way.RESET, Way.CLOSE])
        peer = socket.socket()
        peer.setblocking(False)
        with suppress(ConnectionError):
            async with asyncio.timeout(_PATIENCE):
                await self._speak(peer, client)
        if way is Way.SILENCE:
            self.silent.append(peer)
            return
        if way is Way.RESET:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        peer.close()

    async def _speak(self, peer: socket.socket, client: ClientBytes) -> None:
        """Say a part of what is to be said: a part of the request, of the messages, or all of them."""
        loop, moment = asyncio.get_running_loop(), self._chance.random()
        await loop.sock_connect(peer, (client.host, client.port))
        request, said = client.request, b"".join(client.messages)
        if moment < 0.2:
            await loop.sock_sendall(peer, request[: self._chance.randrange(len(request) + 1)])
            return
        await loop.sock_sendall(peer, request)
        if request and not (await loop.sock_recv(peer, 4096)).startswith(b"HTTP/1.1 101"):
            self.refused += 1
            return
        until = len(said) if moment > 0.7 else self._chance.randrange(len(said))
        await loop.sock_sendall(peer, said[:until])
        await asyncio.sleep(self._chance.uniform(0.0, 0.1))


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a server's process has when it holds nothing for clients any more; `is_empty` tells whether that is so."""

    is_empty: bool
    descriptors: int
    resident_bytes: int


async def holdings(process: ServingProcess, most_descriptors: int, seconds: float) -> Holdings:
    """Wait until nothing is held any more, and no more files are open than that; after some time, what still is."""
    end = time.monotonic() + seconds
    while True:
        found = Holdings(process.is_empty, process.descriptors(), process.resident_bytes())
        if (found.is_empty and found.descriptors <= most_descriptors) or time.monotonic() > end:
            return found
        await asyncio.sleep(0.5)


async def _speak_on(server: Server, samples: FloatArray, texts: list[str]) -> None:
    while True:
        texts.append((await call(server, 0, samples)).text)


async def _run(process: ServingProcess, samples: FloatArray, connections: int) -> bool:
    cutter = Cutter(client_bytes(process.addresses, samples))
    server = Server(address(process.url, CLIENTS["emf"]().path), {}, CLIENTS["emf"])
    alone = (await call(server, 0, samples)).text
    files = process.descriptors()
    await cutter.cut(connections)
    before = await holdings(process, files, _FORGET_SECONDS)
    cutter.close()
    texts: list[str] = []
    speaking = asyncio.create_task(_speak_on(server, samples, texts))
    await cutter.cut(connections)
    speaking.cancel()
    await asyncio.wait([speaking])
    after = await holdings(process, files, _FORGET_SECONDS)
    cutter.close()
    grown = after.resident_bytes - before.resident_bytes
    sys.stdout.write(
        f"connections cut: twice {connections}, {len(cutter.silent)} by silence; {cutter.refused} found no place\n"
    )
    sys.stdout.write(f"sessions and streams held: {'none' if after.is_empty else 'some'}\n")
    sys.stdout.write(f"open files: {files} before, {after.descriptors} after\n")
    sys.stdout.write(
        f"resident memory: {before.resident_bytes / 2**20:.1f} MiB before, {grown / 2**20:+.1f} MiB after\n"
    )
    sys.stdout.write(f"texts of the client beside: {len(texts)}, wrong: {sum(text != alone for text in texts)}\n")
    right = bool(texts) and set(texts) == {alone}
    return right and after.is_empty and after.descriptors <= files and grown < _MEMORY_NOISE


def main() -> int:
    """Cut as many as asked for; the exit status is 1 where anything is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=1000)
    given = parser.parse_args()
    (samples,) = read_recordings([given.audio], _SAMPLE_RATE, 1e6)
    with serving_process(given.artifact, _FLAGS) as process:
        return 0 if asyncio.run(_run(process, samples, given.connections)) else 1


if __name__ == "__main__":
    sys.exit(main())
