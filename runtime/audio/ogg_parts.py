"""The links of a chained Ogg file, of which a decoder reads the first alone."""

from collections.abc import Iterator
from typing import BinaryIO

from emf.runtime.audio.sound_part import SoundPart

_MAGIC = b"OggS"
_HEADER_SIZE = 27
_FIRST, _LAST = 0x02, 0x04
_SEARCH = 1 << 20


def ogg_parts(file: BinaryIO, size: int) -> list[SoundPart]:
    """The links of an Ogg file; pages that are cut off, by the end or by another page, belong to none.

    Streams that run side by side begin together, so a link begins at a first page behind another page.
    """
    parts: list[SoundPart] = []
    start = end = 0
    in_head, last_flags = True, 0
    for offset, length, flags in _pages(file, size):
        if flags & _FIRST and not in_head:
            parts.append(_part(start, end, last_flags))
            start = offset
        in_head = bool(flags & _FIRST)
        end, last_flags = offset + length, flags
    return [*parts, _part(start, end, last_flags)] if end else []


def _part(start: int, end: int, last_flags: int) -> SoundPart:
    return SoundPart(start, end, note="" if last_flags & _LAST else "it breaks off, no page says that it is the last")


def _pages(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """Offset, length and flags of every whole page."""
    offset = 0
    while offset + _HEADER_SIZE <= size:
        file.seek(offset)
        header = file.read(_HEADER_SIZE + 255)
        length = _length(header)
        file.seek(offset + length)
        if length and (offset + length == size or file.read(4) == _MAGIC):
            yield offset, length, header[5]
            offset += length
            continue
        found = _next_page(file, offset + 1)
        if found is None:
            if length and offset + length < size:  # bytes that are none of Ogg follow
                yield offset, length, header[5]
            return
        offset = found


def _length(header: bytes) -> int:
    """Bytes of the page that begins so; 0 if none does."""
    if header[:4] != _MAGIC:
        return 0
    count = header[26]
    return _HEADER_SIZE + count + sum(header[_HEADER_SIZE : _HEADER_SIZE + count])


def _next_page(file: BinaryIO, offset: int) -> int | None:
    """Where the next page begins, at or behind `offset`."""
    while True:
        file.seek(offset)
        block = file.read(_SEARCH)
        if (found := block.find(_MAGIC)) >= 0:
            return offset + found
        if len(block) < _SEARCH:
            return None
        offset += _SEARCH - 3
