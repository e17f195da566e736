"""What comes over the wire is an event, or told to be none."""

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st
from wyoming.event import Event, async_write_event

from emf.serve.wyoming.framing import FramingError, read_event
from emf.serve.wyoming.messages import Pong, encode, message_of


async def read_all(data: bytes) -> list[object]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    heard: list[object] = []
    while (event := await read_event(reader)) is not None:
        heard.append((event.type, event.data, event.payload))
        message_of(event)
    return heard


HEADS = st.fixed_dictionaries(
    {"type": st.sampled_from(["ping", "audio-start", "audio-chunk", "transcribe", "x"])},
    optional={
        "data": st.none() | st.dictionaries(st.sampled_from(["rate", "text"]), st.integers() | st.text(max_size=3)),
        "data_length": st.none() | st.integers(-1, 9) | st.floats(0, 3),
        "payload_length": st.none() | st.integers(-1, 9),
    },
)


@given(HEADS, st.binary(max_size=12))
def test_events_that_may_be_none(head: dict[str, object], rest: bytes) -> None:
    """Either there are events, or an error; nothing else ever."""
    try:
        asyncio.run(read_all(json.dumps(head).encode() + b"\n" + rest))
    except FramingError as error:
        assert str(error).startswith("expected")


class Written:
    """Takes the place of a stream writer."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def writelines(self, lines: tuple[bytes, ...]) -> None:
        self.data += b"".join(lines)

    async def drain(self) -> None:
        pass


@given(st.dictionaries(st.text(), st.text() | st.integers(), max_size=3), st.binary(max_size=9))
def test_events_of_the_package_come_as_they_were(data: dict[str, object], payload: bytes) -> None:
    written = Written()
    asyncio.run(async_write_event(Event("some-type", data, payload), written))  # type: ignore[arg-type]
    assert asyncio.run(read_all(written.data + encode(Pong("é")))) == [
        ("some-type", data, payload),
        ("pong", {"text": "é"}, b""),
    ]
