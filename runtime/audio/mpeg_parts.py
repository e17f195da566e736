"""The streams of a file of MPEG audio (MP3), of which a decoder reads the first alone, by a guessed length."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import BinaryIO

from emf.runtime.audio.mpeg_frames import (
    INFO_BYTES,
    FrameHeader,
    frame_header,
    is_info,
    promised_frames,
    shortest_frame,
    true_info,
)
from emf.runtime.audio.sound_part import SoundPart

_SEARCH = 1 << 16


@dataclass(slots=True)
class _Run:
    """Frames without a gap; `info` is the offset of the info frame in front of them."""

    header: FrameHeader
    start: int
    end: int
    info: int | None = None
    count: int = 0


def is_mpeg(file: BinaryIO) -> bool:
    """Whether a file begins as MPEG audio does, perhaps behind tags."""
    return _is_frame(file, _behind_tags(file, 0))


def mpeg_parts(file: BinaryIO, size: int) -> list[SoundPart]:
    """The streams of a file that `is_mpeg`, each with a length that holds."""
    runs: list[_Run] = []
    for offset, header, info in _frames(file, size):
        end = offset + header.size
        if info:
            runs.append(_Run(header, end, end, offset))
        elif not runs or offset != runs[-1].end or header.kind != runs[-1].header.kind:
            runs.append(_Run(header, offset, end, count=1))
        else:
            run = runs[-1]
            run.end, run.count = end, run.count + 1
    return [_part(file, run, runs[index + 1 :]) for index, run in enumerate(runs) if run.count]


def _part(file: BinaryIO, run: _Run, later: list[_Run]) -> SoundPart:
    size = run.end - run.start
    if run.info is None:
        return _without_info(file, run)
    file.seek(run.info)
    info = file.read(run.start - run.info)
    there = run.count + sum(other.count for other in takewhile(lambda other: other.info is None, later))
    promised, note = promised_frames(info), ""
    if promised > there:
        seconds = promised * run.header.samples / run.header.sample_rate
        note = f"it breaks off, {seconds:.2f} s are promised"
    return SoundPart(run.start, run.end, true_info(info, run.count, size), note=note)


def _without_info(file: BinaryIO, run: _Run) -> SoundPart:
    """The decoder takes all frames to be as long as the first one and stops there, so the first one is to be short."""
    file.seek(run.start)
    head = shortest_frame(file.read(4))
    return SoundPart(run.start, run.end, head, surplus=run.header.samples if head else 0)


def _frames(file: BinaryIO, size: int) -> Iterator[tuple[int, FrameHeader, bool]]:
    """Offset and header of every whole frame, and whether it is an info frame."""
    offset, last = 0, None
    while offset + 4 <= size:
        file.seek(offset)
        data = file.read(INFO_BYTES)
        header = frame_header(data)
        if header is None or ((last is None or header.kind != last.kind) and not _is_frame(file, offset)):
            found = _next_frame(file, offset)
            if found is None or (last is None and found > _SEARCH + _behind_tags(file, 0)):
                return
            offset = found
            continue
        if offset + header.size > size:
            return
        yield offset, header, is_info(header, data)
        offset, last = offset + header.size, header


def _behind_tags(file: BinaryIO, offset: int) -> int:
    """Where ID3 tags that begin at `offset` end."""
    while True:
        file.seek(offset)
        tag = file.read(10)
        if tag[:3] == b"TAG":
            offset += 128
        elif len(tag) == 10 and tag[:3] == b"ID3" and max(tag[6:]) < 0x80:
            length = (tag[6] << 21) | (tag[7] << 14) | (tag[8] << 7) | tag[9]
            offset += 10 + length + (10 if tag[5] & 0x10 else 0)
        else:
            return offset


def _is_frame(file: BinaryIO, offset: int) -> bool:
    """Whether a frame begins here: another one of its kind, or the end of the file, follows."""
    file.seek(offset)
    header = frame_header(file.read(4))
    if header is None:
        return False
    file.seek(offset + header.size)
    data = file.read(4)
    following = frame_header(data)
    return len(data) < 4 or (following is not None and following.kind == header.kind)


def _next_frame(file: BinaryIO, offset: int) -> int | None:
    """Where the next frame begins behind bytes that are none: tags, or damage."""
    if (behind := _behind_tags(file, offset)) != offset:
        return behind
    offset += 1
    while True:
        file.seek(offset)
        block = file.read(_SEARCH)
        at = block.find(b"\xff")
        while at >= 0:
            if _is_frame(file, offset + at):
                return offset + at
            at = block.find(b"\xff", at + 1)
        if len(block) < _SEARCH:
            return None
        offset += _SEARCH
