"""A client of the own protocol that sends what it is told, for tests."""

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.serve.live_server import SECONDS, LiveServer

Message = dict[str, Any]


class Talk:
    """A connection, and all that came by it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[Message] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def hear(self, kind: str) -> Message:
        """The next message of a kind; those before are kept in `messages`."""
        async with asyncio.timeout(SECONDS):
            while True:
                message: Message = json.loads(await self.socket.recv())
                self.messages.append(message)
                if message["type"] == kind:
                    return message

    def finals(self) -> list[Message]:
        return [m for m in self.messages if m["type"] == "result" and m["is_final"]]


class talking:  # noqa: N801 (reads like a function)
    """`async with talking(server, sample_rate=8000) as talk`: a connection whose session has begun."""

    def __init__(self, server: LiveServer, **start: Any) -> None:
        self._server, self._start = server, start

    async def __aenter__(self) -> Talk:
        self._connection = connect(self._server.url(), compression=None, max_size=None)
        talk = Talk(await self._connection.__aenter__())
        await talk.say("start", **self._start)
        return talk

    async def __aexit__(self, *error: Any) -> None:
        await self._connection.__aexit__(*error)
