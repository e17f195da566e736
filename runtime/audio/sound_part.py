"""A piece of a file that decodes on its own, and a view of its bytes."""

import io
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class SoundPart:
    """One of the recordings that a file holds, one behind the other.

    Attributes:
        start: offset of its first byte in the file.
        end: offset one past its last byte.
        head: bytes to decode in front of these, such as a repaired header.
        surplus: how many samples of each channel come of `head`.
        note: what is known to be wrong with it; empty where nothing is.
    """

    start: int
    end: int
    head: bytes = b""
    surplus: int = 0
    note: str = ""


class PartFile(io.RawIOBase):
    """The bytes of a part as a file of their own.

    It has no name: a decoder that goes by names takes `.raw` for audio without a header.
    """

    def __init__(self, file: BinaryIO, part: SoundPart) -> None:
        super().__init__()
        self._file = file
        self._part = part
        self._size = len(part.head) + part.end - part.start
        self._position = 0

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def tell(self) -> int:
        """See `io.IOBase`."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase`; a place before the beginning is the beginning."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """See `io.RawIOBase`; gives all that was asked for, but at the end."""
        count = max(min(len(buffer), self._size - self._position), 0)
        head = self._part.head[self._position : self._position + count]
        rest = b""
        if count > len(head):
            self._file.seek(self._part.start + self._position + len(head) - len(self._part.head))
            rest = self._file.read(count - len(head))
        data = head + rest
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
