"""A client of Wyoming as Home Assistant's, with the package `wyoming`."""

import asyncio
from collections.abc import Iterable

from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event

from tests.serve.live_server import SECONDS, LiveServer


def client(server: LiveServer) -> AsyncTcpClient:
    return AsyncTcpClient("127.0.0.1", server.ports["wyoming"])


def utterance(
    data: bytes, rate: int, width: int = 2, channels: int = 1, transcribe: Transcribe | None = None
) -> list[Event]:
    """What is sent for an utterance."""
    step = 1024 * width * channels
    chunks = [AudioChunk(rate, width, channels, data[at : at + step]).event() for at in range(0, len(data), step)]
    return [
        (transcribe or Transcribe(language="en")).event(),
        AudioStart(rate, width, channels).event(),
        *chunks,
        AudioStop().event(),
    ]


async def send(talk: AsyncTcpClient, events: Iterable[Event]) -> None:
    for event in events:
        await talk.write_event(event)


async def hear(talk: AsyncTcpClient, kind: str | None = None) -> list[Event]:
    """Events up to one of a kind, or to the end of the connection."""
    heard: list[Event] = []
    async with asyncio.timeout(SECONDS):
        while (event := await talk.read_event()) is not None:
            heard.append(event)
            if event.type == kind:
                break
    return heard


async def transcribe(server: LiveServer, events: Iterable[Event]) -> list[Event]:
    """What comes for an utterance."""
    async with client(server) as talk:
        await send(talk, events)
        return await hear(talk, "transcript-stop")


def text_of(events: list[Event]) -> str:
    """The transcript; joined, the chunks before it say the same."""
    (text,) = (str(event.data["text"]) for event in events if event.type == "transcript")
    assert "".join(event.data["text"] for event in events if event.type == "transcript-chunk") == text
    return text
