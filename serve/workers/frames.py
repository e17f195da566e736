"""Frames over a stream socket: a length of four bytes, little-endian, then so many bytes."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

import numpy as np

from emf.serve.workers.messages import MOST_BYTES, Frame

_LENGTH = struct.Struct("<I")
_READ_AHEAD = 2**18
_JOINED = 2**16


class FrameSocket(asyncio.BufferedProtocol):
    """Frames in both directions over a connection; belongs to one event loop.

    Short frames are read many at a time. A long one, such as a snapshot, is read into its own memory at once: through
    `asyncio.StreamReader` it is copied several times.
    """

    def __init__(self, on_connection: "Callable[[FrameSocket], None] | None" = None) -> None:
        """Wait for a connection; `on_connection` is called once it is made. See `over` and `to`."""
        self._on_connection = on_connection
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(_READ_AHEAD)
        self._begin = self._end = 0
        self._long: memoryview | None = None
        """A frame that is longer than the buffer, of which `_filled` bytes are there."""
        self._filled = 0
        self._has_ended = self._is_paused = False
        self._is_enough: Callable[[], bool] = lambda: True
        self._received, self._writable = asyncio.Event(), asyncio.Event()
        self._writable.set()

    @classmethod
    async def over(cls, connected: socket.socket) -> "FrameSocket":
        """Frames over a socket of the Unix domain."""
        _, frames = await asyncio.get_running_loop().create_unix_connection(cls, sock=connected)
        return frames

    @classmethod
    async def to(cls, host: str, port: int) -> "FrameSocket":
        """Frames over a new connection to another machine.

        Raises:
            OSError: nobody answers there.
        """
        _, frames = await asyncio.get_running_loop().create_connection(cls, host, port)
        return frames

    def send(self, frame: Frame) -> None:
        """Send without waiting. Without effect once the other end is gone."""
        if self._transport is not None and not self._transport.is_closing():
            # Not by `writelines`: asyncio's own, from Python 3.12 on, waits for ever for an empty part to leave, and
            # does not tell when too much is waiting.
            length = _LENGTH.pack(len(frame))
            if len(frame) <= _JOINED:
                self._transport.write(length + frame)
            else:
                self._transport.write(length)
                self._transport.write(frame)

    async def receive(self, most: int = MOST_BYTES) -> Frame | None:
        """The next frame, of so many bytes at the most; `None` once the other end is gone, or sends what is none."""
        if self._long is None:
            if not await self._has_come(_LENGTH.size):
                return None
            (length,) = _LENGTH.unpack_from(self._buffer, self._begin)
            if length > most:
                return None
            if _LENGTH.size + length <= len(self._buffer):
                return await self._short(length)
            self._begin_long(length)
        if not await self._wait(lambda: not self._is_filling):
            return None
        frame, self._long = self._long, None
        return frame

    async def sent(self) -> None:
        """Wait until all frames are on their way, but for some."""
        await self._writable.wait()

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    async def _short(self, length: int) -> bytes | None:
        if not await self._has_come(_LENGTH.size + length):
            return None
        begin = self._begin + _LENGTH.size
        self._begin = begin + length
        return bytes(memoryview(self._buffer)[begin : self._begin])

    def _begin_long(self, length: int) -> None:
        here = memoryview(self._buffer)[self._begin + _LENGTH.size : self._end]
        self._long, self._filled = np.empty(length, np.uint8).data, len(here)  # not filled with zeros first
        self._long[: len(here)] = here
        self._begin = self._end = 0

    async def _has_come(self, size: int) -> bool:
        return self._end - self._begin >= size or await self._wait(lambda: self._end - self._begin >= size)

    async def _wait(self, is_enough: Callable[[], bool]) -> bool:
        """Wait until enough has come, without a wake for every piece of it; False where it will not."""
        self._is_enough = is_enough
        while not is_enough():
            if self._has_ended:
                return False
            self._received.clear()
            if self._is_paused and self._transport is not None:
                self._is_paused = False
                self._transport.resume_reading()
            await self._received.wait()
        return True

    @property
    def _is_filling(self) -> bool:
        return self._long is not None and self._filled < len(self._long)

    # What `asyncio.BufferedProtocol` has

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        if self._on_connection is not None:
            self._on_connection(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._has_ended = True
        self._received.set()
        self._writable.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        if self._long is not None and self._is_filling:
            return self._long[self._filled :]
        if self._begin == self._end:
            self._begin = self._end = 0
        if self._end == len(self._buffer):
            left = self._buffer[self._begin : self._end]
            self._buffer[: len(left)] = left
            self._begin, self._end = 0, len(left)
        return memoryview(self._buffer)[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        if self._is_filling:
            self._filled += nbytes
        else:
            self._end += nbytes
            if self._end - self._begin == len(self._buffer) and self._transport is not None:
                self._is_paused = True
                self._transport.pause_reading()
        if self._is_enough():
            self._received.set()

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._writable.set()
