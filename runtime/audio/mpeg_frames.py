"""MPEG audio (MP3): what the four bytes in front of a frame say, and the info frame in front of all."""

import struct
from dataclasses import dataclass

_KBITS = {
    # Version 1 or not, layer: kbit/s of the indices 1 to 14.
    (True, 1): tuple(range(32, 449, 32)),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_HAS_COUNT, _HAS_SIZE = 1, 2
INFO_BYTES = 64
"""So many bytes of a frame show whether it is an info frame."""


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """One frame: its size in bytes, and what cannot change within a stream."""

    size: int
    version: int
    layer: int
    sample_rate: int
    mono: bool
    protected: bool

    @property
    def kind(self) -> tuple[int, int, int, bool]:
        """Frames of one kind belong to one stream."""
        return self.version, self.layer, self.sample_rate, self.mono

    @property
    def samples(self) -> int:
        """Samples of each channel."""
        return _samples(self.version, self.layer)

    @property
    def info_offset(self) -> int:
        """Where an info frame says that it is one."""
        side = (17 if self.mono else 32) if self.version == 3 else (9 if self.mono else 17)
        return 4 + 2 * self.protected + side


def frame_header(data: bytes) -> FrameHeader | None:
    """The header that these bytes begin with; `None` if they begin with none."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = (data[1] >> 3) & 3, 4 - ((data[1] >> 1) & 3)
    bits, rate = data[2] >> 4, (data[2] >> 2) & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    kbits, sample_rate, padding = _KBITS[version == 3, layer][bits - 1], _RATES[version][rate], (data[2] >> 1) & 1
    if layer == 1:
        size = 4 * (12_000 * kbits // sample_rate + padding)
    else:
        size = _samples(version, layer) // 8 * 1000 * kbits // sample_rate + padding
    return FrameHeader(size, version, layer, sample_rate, data[3] >> 6 == 3, not data[1] & 1)


def _samples(version: int, layer: int) -> int:
    if layer == 1:
        return 384
    return 576 if layer == 3 and version != 3 else 1152


def is_info(header: FrameHeader, data: bytes) -> bool:
    """Whether a frame holds no audio but numbers about the stream behind it."""
    place = header.info_offset
    return header.layer == 3 and (data[place : place + 4] in (b"Xing", b"Info") or data[36:40] == b"VBRI")


def true_info(info: bytes, count: int, size: int) -> bytes:
    """An info frame with numbers that hold.

    A larger count than there are frames stays: the end of the audio, and with it its padding, is missing.

    Args:
        info: the info frame of a stream.
        count: frames of audio.
        size: bytes of these.
    """
    frame, at = bytearray(info), _numbers(info)
    if at is None:
        return info
    flags = struct.unpack_from(">I", frame, at)[0]
    at += 4
    if flags & _HAS_COUNT:
        struct.pack_into(">I", frame, at, max(count, struct.unpack_from(">I", frame, at)[0]))
        at += 4
    if flags & _HAS_SIZE:
        struct.pack_into(">I", frame, at, len(frame) + size)
    return bytes(frame)


def promised_frames(info: bytes) -> int:
    """Frames of audio that an info frame promises; 0 if it promises none."""
    at = _numbers(info)
    if at is None or not info[at + 3] & _HAS_COUNT:
        return 0
    return int(struct.unpack_from(">I", info, at + 4)[0])


def _numbers(info: bytes) -> int | None:
    """Where the flags of an info frame stand, which its numbers follow; `None` for frames of another form."""
    header = frame_header(info)
    if header is None or info[header.info_offset :][:4] not in (b"Xing", b"Info"):
        return None
    at = header.info_offset + 4
    return at if len(info) >= at + 12 else None


def shortest_frame(first: bytes) -> bytes:
    """Silence: the shortest frame of the kind of another, of which the header is given."""
    start = bytes([first[0], first[1] | 1, 0x10 | (first[2] & 0x0C), first[3]])
    header = frame_header(start)
    return start.ljust(header.size, b"\x00") if header else b""
