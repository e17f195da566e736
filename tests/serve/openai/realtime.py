"""A realtime client of the `openai` package, for tests."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from tests.serve.live_server import SECONDS, LiveServer

KEY = "realtime-key-0123456789"
ERROR = "error"
COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Talk:
    """A connection, and all that came by it."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Any] = []

    async def update(self, **audio_input: Any) -> Any:
        session: Any = {"type": "transcription", "audio": {"input": audio_input}}
        await self.connection.session.update(session=session)
        return await self.hear("session.updated")

    async def say(self, data: bytes, size: int = 4_801, pause: float = 0.0) -> None:
        """Append audio in pieces that may break anywhere."""
        for begin in range(0, len(data), size):
            await self.connection.input_audio_buffer.append(audio=base64_of(data[begin : begin + size]))
            await asyncio.sleep(pause)

    async def hear(self, kind: str) -> Any:
        """The next event of a type; those before are kept in `events`."""
        async with asyncio.timeout(SECONDS):
            while True:
                event = await self.connection.recv()
                self.events.append(event)
                if event.type == kind:
                    return event

    async def end(self) -> None:
        """As openai-agents does."""
        await self.connection.input_audio_buffer.commit(event_id="last")
        await self.connection.input_audio_buffer.clear()
        await self.hear("input_audio_buffer.cleared")

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]

    @property
    def text(self) -> str:
        """Of all items."""
        return " ".join(event.transcript for event in self.of(COMPLETED) if event.transcript)


@asynccontextmanager
async def talking(server: LiveServer, query: dict[str, str] | None = None, **options: Any) -> AsyncIterator[Talk]:
    client = AsyncOpenAI(api_key=KEY, base_url=server.url("/v1", "http"))
    given = {"intent": "transcription"} if query is None else query
    async with client, client.realtime.connect(extra_query=given, **options) as connection:
        talk = Talk(connection)
        await talk.hear("session.created")
        yield talk
