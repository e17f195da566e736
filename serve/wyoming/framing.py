"""Events of Wyoming on the wire: a line of JSON, then data in JSON, then bytes; the line says how many.

Source: `wyoming.event` of the package `wyoming`. It has no limits; here everything has one.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from emf.serve.sockets.json_messages import decode_json

VERSION = "1.10.2"
"""Of the package whose events these are."""
MOST_DATA_BYTES = 2**20
MOST_PAYLOAD_BYTES = 24 * 2**20
LONGEST_LINE = 2**16

_ENCODER = msgspec.json.Encoder()


class FramingError(ValueError):
    """What came is no event of the protocol."""


class _Line(msgspec.Struct, frozen=True):
    type: str
    data: dict[str, object] | None = None
    data_length: Annotated[int, msgspec.Meta(ge=0, le=MOST_DATA_BYTES)] | None = None
    payload_length: Annotated[int, msgspec.Meta(ge=0, le=MOST_PAYLOAD_BYTES)] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One event, whatever its type."""

    type: str
    data: dict[str, object] = field(default_factory=dict)
    payload: bytes = b""


_LINES = msgspec.json.Decoder(_Line)
_DATA: msgspec.json.Decoder[dict[str, object]] = msgspec.json.Decoder(dict[str, object])


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next event; `None` at the end.

    Raises:
        FramingError: no event came, or one that is too large.
    """
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as error:
        raise FramingError(f"expected a line of at most {LONGEST_LINE} bytes, found more") from error
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise FramingError("expected a line of JSON, found the end within it") from error
    try:
        head = decode_json(_LINES, line)
        data = dict(head.data or {})
        if head.data_length:
            more = decode_json(_DATA, await reader.readexactly(head.data_length))
            data |= more
        payload = await reader.readexactly(head.payload_length) if head.payload_length else b""
    except asyncio.IncompleteReadError as error:
        raise FramingError("expected a whole event, found the end within it") from error
    except msgspec.MsgspecError as error:
        raise FramingError(f"expected a line of JSON and what it announces ({error})") from error
    return Event(head.type, data, payload)


def to_bytes(kind: str, data: object) -> bytes:
    """An event of a type as it is sent, without a payload; `data` is what msgspec can write."""
    body = _ENCODER.encode(data)
    return _ENCODER.encode({"type": kind, "version": VERSION, "data_length": len(body)}) + b"\n" + body
