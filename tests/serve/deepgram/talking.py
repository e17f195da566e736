"""Deepgram's own client against a server of the tests."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.serve.live_server import SECONDS, LiveServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the client goes on with websockets.legacy
    from deepgram import AsyncDeepgramClient as AsyncDeepgramClient
    from deepgram import DeepgramClient as DeepgramClient
    from deepgram import DeepgramClientEnvironment
    from deepgram.listen.v1.socket_client import AsyncV1SocketClient
    from deepgram.listen.v1.types.listen_v1configure import ListenV1Configure as ListenV1Configure
    from deepgram.listen.v1.types.listen_v1results import ListenV1Results

KEY = "some-key-0123456789"
RATE = 16_000


def environment(server: LiveServer) -> DeepgramClientEnvironment:
    web, socket = server.url("", "http"), server.url("")
    return DeepgramClientEnvironment(base=web, production=socket, agent=socket, agent_rest=web)


@contextmanager
def client(server: LiveServer) -> Iterator[DeepgramClient]:
    with httpx.Client() as connections:  # the client does not close its own
        yield DeepgramClient(api_key=KEY, environment=environment(server), httpx_client=connections)


def async_client(server: LiveServer) -> AsyncDeepgramClient:
    return AsyncDeepgramClient(api_key=KEY, environment=environment(server))


@dataclass
class Talk:
    """A connection, and all that came by it."""

    socket: AsyncV1SocketClient
    messages: list[Any] = field(default_factory=list)

    async def send(self, data: bytes, step: int = 3_200) -> None:
        for at in range(0, len(data), step):
            await self.socket.send_media(data[at : at + step])

    async def hear(self, kind: str) -> Any:
        """The next message of a kind; all are kept in `messages`."""
        async with asyncio.timeout(SECONDS):
            while True:
                message = await self.socket.recv()
                self.messages.append(message)
                if message.type == kind:
                    return message

    async def finish(self) -> None:
        """End the audio, and hear all up to the end of the connection."""
        await self.socket.send_close_stream()
        async with asyncio.timeout(SECONDS):
            async for message in self.socket:
                self.messages.append(message)

    @property
    def kinds(self) -> list[str]:
        return [message.type for message in self.messages]

    def finals(self, channel: int = 0) -> list[ListenV1Results]:
        return [
            m for m in self.messages if m.type == "Results" and m.is_final and list(m.channel_index)[:1] == [channel]
        ]

    def text(self, channel: int = 0) -> str:
        return joined(final.channel.alternatives[0].transcript for final in self.finals(channel))


def joined(texts: Iterable[str]) -> str:
    return " ".join(text for text in texts if text)


@asynccontextmanager
async def talking(server: LiveServer, **query: Any) -> AsyncIterator[Talk]:
    """A connection of the client; `query` as its `connect` takes it."""
    async with async_client(server).listen.v1.connect(model="nova-3", **query) as socket:
        yield Talk(socket)


async def speak(server: LiveServer, data: bytes, *, step: int = 3_200, **query: Any) -> Talk:
    """Send audio and hear all answers."""
    async with talking(server, **query) as talk:
        await talk.send(data, step)
        await talk.finish()
        return talk
