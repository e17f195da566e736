"""Which parts of a file decode on their own."""

import io
from collections.abc import Iterator
from typing import BinaryIO

from emf.runtime.audio.mpeg_frames import frame_header
from emf.runtime.audio.mpeg_parts import is_mpeg, mpeg_parts
from emf.runtime.audio.ogg_parts import ogg_parts
from emf.runtime.audio.riff_parts import riff_parts
from emf.runtime.audio.sound_part import SoundPart

_UNKNOWN_AU = 0xFFFFFFFF
_FLAC_STARTS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
_SOUND_STARTS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"OggS", b"fLaC", b"FORM", b".snd", b"caff", b"ID3")
_MPEG_SUFFIXES = (".mp3", ".mp2", ".mpga")
_BLOCK = 1 << 20


def read_start(source: BinaryIO) -> tuple[bytes, bool]:
    """The first bytes that come, and whether a sound file begins so, and not raw audio."""
    start = source.read(12)
    if start.startswith(_SOUND_STARTS):
        return start, True
    header = frame_header(start)
    if header is None:
        return start, False
    start += source.read(max(header.size + 4 - len(start), 0))
    following = frame_header(start[header.size :])
    return start, following is not None and following.kind == header.kind


def sound_parts(file: BinaryIO, suffix: str = "") -> list[SoundPart]:
    """The parts of a file in their order: the whole file, unless it holds several or its header misleads.

    Args:
        file: open to read and to seek.
        suffix: of its name, which tells MPEG audio that begins with something else.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(8)
    if start[:4] in (b"RIFF", b"RIFX"):
        parts = riff_parts(file, size)
    elif start[:4] == b"OggS":
        parts = ogg_parts(file, size)
    elif start in _FLAC_STARTS:
        offsets = list(_flac_starts(file))
        parts = [SoundPart(low, high) for low, high in zip(offsets, [*offsets[1:], size], strict=True)]
    elif is_mpeg(file) or (suffix.lower() in _MPEG_SUFFIXES and not start.startswith(_SOUND_STARTS)):
        parts = mpeg_parts(file, size)
    else:
        stated = _stated_size(file)
        note = f"it breaks off, {stated} bytes are promised, {size} are there" if stated > size else ""
        parts = [SoundPart(0, size, note=note)]
    return parts or [SoundPart(0, size)]


def _stated_size(file: BinaryIO) -> int:
    """The size that the header of an AIFF, AU or Wave64 file states for all of it; 0 where it states none."""
    file.seek(0)
    start = file.read(24).ljust(24, b"\0")
    if start[:4] == b"FORM":
        return 8 + int.from_bytes(start[4:8], "big")
    if start[:4] == b".snd":
        audio = int.from_bytes(start[8:12], "big")
        return 0 if audio == _UNKNOWN_AU else int.from_bytes(start[4:8], "big") + audio
    return int.from_bytes(start[16:24], "little") if start[:4] == b"riff" else 0


def _flac_starts(file: BinaryIO) -> Iterator[int]:
    """Offsets at which a FLAC file begins."""
    offset, length = 0, len(_FLAC_STARTS[0])
    while True:
        file.seek(offset)
        block = file.read(_BLOCK + length - 1)
        at = block.find(b"fLaC")
        while at >= 0:
            if block[at : at + length] in _FLAC_STARTS:
                yield offset + at
            at = block.find(b"fLaC", at + 1)
        if len(block) < _BLOCK:
            return
        offset += _BLOCK
