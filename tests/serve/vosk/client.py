"""A client of Vosk as vosk-server's own: it waits for the answer to each message before it sends the next."""

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.serve.live_server import SECONDS, LiveServer
from tests.serve.recordings import Samples

Answer = dict[str, Any]
END = '{"eof" : 1}'


class Talk:
    """A connection in lock-step."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def configure(self, **config: Any) -> None:
        await self.socket.send(json.dumps({"config": config}))

    async def ask(self, message: str | bytes) -> Answer:
        """Send a message and wait for its answer."""
        await self.socket.send(message)
        return await self.hear()

    async def hear(self) -> Answer:
        async with asyncio.timeout(SECONDS):
            answer: Answer = json.loads(await self.socket.recv())
            return answer

    async def say(self, samples: Samples, sample_rate: int) -> list[Answer]:
        """Send audio in fifths of a second, and wait for each answer."""
        step = sample_rate // 5
        return [await self.ask(samples[at : at + step].tobytes()) for at in range(0, len(samples), step)]

    async def end(self) -> Answer:
        """End the audio; the server closes the connection behind its answer."""
        answer = await self.ask(END)
        async with asyncio.timeout(SECONDS):
            await self.socket.wait_closed()
        assert self.socket.protocol.close_code == 1000
        return answer


class talking:  # noqa: N801 (reads like a function)
    """`async with talking(server) as talk`."""

    def __init__(self, server: LiveServer, url: str | None = None, **headers: str) -> None:
        self._connection = connect(url or server.url("/vosk"), additional_headers=headers, max_size=None)

    async def __aenter__(self) -> Talk:
        return Talk(await self._connection.__aenter__())

    async def __aexit__(self, *error: Any) -> None:
        await self._connection.__aexit__(*error)


async def transcribe(server: LiveServer, samples: Samples, sample_rate: int, **config: Any) -> list[Answer]:
    """All answers to a recording; the last is that to the end."""
    async with talking(server) as talk:
        await talk.configure(sample_rate=float(sample_rate), **config)
        answers = await talk.say(samples, sample_rate)
        return [*answers, await talk.end()]


def text_of(answers: list[Answer]) -> str:
    """All that results say."""
    return " ".join(answer["text"] for answer in answers if answer.get("text"))
