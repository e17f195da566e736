"""WAV files whose sizes are wrong: the recorder died, the copy broke off, two files were joined."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from emf.runtime.audio.sound_part import SoundPart

NO_LENGTH_KNOWN = 0x7FF00000
"""Programs that write into a pipe state this size or a larger one."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + 8 + self.size + self.size % 2


def riff_parts(file: BinaryIO, size: int) -> list[SoundPart]:
    """The WAV files in a file, with sizes that hold."""
    parts: list[SoundPart] = []
    start = 0
    while start < size and (part := _wave(file, start, size)) is not None:
        parts.append(part)
        start = part.end
    return parts


def _wave(file: BinaryIO, start: int, size: int) -> SoundPart | None:
    file.seek(start)
    header = file.read(12)
    order = {b"RIFF": "<", b"RIFX": ">"}.get(header[:4])
    if order is None or header[8:] != b"WAVE":
        return None
    chunks = _chunks(file, start + 12, size, order)
    data = next((chunk for chunk in chunks if chunk.name == b"data"), None)
    if data is None:
        return SoundPart(start, size)
    there = size - data.offset - 8
    unknown = data.size >= NO_LENGTH_KNOWN
    if data.size == 0 and there and chunks[-1].end < size - 1:
        return _repaired(file, start, data, size, order)
    if data.size > there:
        note = f"it breaks off, {data.size} bytes of audio are promised, {there} are there"
        return SoundPart(start, size, note="" if unknown else note)
    end = max(chunks[-1].end, start + 8 + struct.unpack(f"{order}I", header[4:8])[0])
    if end >= size or unknown:
        return SoundPart(start, size)
    file.seek(end)
    if file.read(4) == header[:4]:
        return SoundPart(start, end)
    left_out = size - end
    return SoundPart(start, size, note=f"{left_out} bytes behind its audio are left out" if left_out > 8 else "")


def _chunks(file: BinaryIO, offset: int, size: int, order: str) -> list[_Chunk]:
    """The chunks from `offset` on, as long as they look like chunks; the last one may be too long for the file."""
    found: list[_Chunk] = []
    while offset + 8 <= size:
        file.seek(offset)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        inside = offset + 8 + length <= size
        if name in (b"RIFF", b"RIFX") or not all(0x20 <= c < 0x7F for c in name) or not (inside or name == b"data"):
            break
        found.append(_Chunk(name, offset, length))
        offset = found[-1].end
    return found


def _repaired(file: BinaryIO, start: int, data: _Chunk, size: int, order: str) -> SoundPart:
    """With the sizes that a recorder writes when it stops."""
    file.seek(start)
    head = bytearray(file.read(data.offset + 8 - start))
    first = data.offset + 8
    struct.pack_into(f"{order}I", head, 4, min(size - start - 8, 0xFFFFFFFF))
    struct.pack_into(f"{order}I", head, len(head) - 4, min(size - first, 0xFFFFFFFF))
    note = f"its header says that it is empty; the {size - first} bytes behind the header are taken as its audio"
    return SoundPart(first, size, bytes(head), note=note)
