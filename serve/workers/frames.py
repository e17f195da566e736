"""Frames over a stream socket: a length of four bytes, little-endian, then so many bytes."""

import asyncio
import socket
import struct

from emf.serve.workers.messages import MOST_BYTES

_LENGTH = struct.Struct("<I")
_READ_AHEAD = 2**20


class FrameSocket:
    """Frames in both directions over a connected socket; belongs to one event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, connected: socket.socket) -> "FrameSocket":
        """Frames over a socket of the Unix domain."""
        return cls(*await asyncio.open_unix_connection(sock=connected, limit=_READ_AHEAD))

    @classmethod
    async def to(cls, host: str, port: int) -> "FrameSocket":
        """Frames over a new connection to another machine.

        Raises:
            OSError: nobody answers there.
        """
        return cls(*await asyncio.open_connection(host, port, limit=_READ_AHEAD))

    def send(self, frame: bytes) -> None:
        """Send without waiting. Without effect once the other end is gone."""
        if self._writer.is_closing():
            return
        self._writer.write(_LENGTH.pack(len(frame)))
        self._writer.write(frame)

    async def receive(self, most: int = MOST_BYTES) -> bytes | None:
        """The next frame, of so many bytes at the most; `None` once the other end is gone, or sends what is none."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > most:
                return None
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def sent(self) -> None:
        """Wait until all frames are on their way, but for some."""
        await self._writer.drain()

    def close(self) -> None:
        """Close at once."""
        self._writer.transport.abort()
