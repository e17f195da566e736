"""Servers that hear a word in every fifth of a second, by the protocols' messages as their own servers send them."""

import asyncio
import json
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

WORD_SECONDS = 0.2


@dataclass
class WordServer:
    """What the server does wrong.

    Attributes:
        protocol: spoken.
        delay: seconds until an answer, by the number of connections open now.
        most: connections; others get 503.
        refuses_after: seconds until they get it.
        number: of the connections so far.
        spoils: the numbers of connections to which the server gives a wrong word.
        breaks: the numbers of those that it closes with 1011 after half a second of audio.
    """

    protocol: str
    delay: Callable[[int], float] = lambda _: 0.0
    most: int = 1000
    refuses_after: float = 0.0
    spoils: tuple[int, ...] = ()
    breaks: tuple[int, ...] = ()
    number: int = 0
    open: int = 0
    authorization: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        async with serve(self._talk, "127.0.0.1", 0, process_request=self._admit) as server:
            yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.authorization.add(request.headers.get("Authorization", ""))
        if self.open < self.most:
            return None
        await asyncio.sleep(self.refuses_after)
        response = connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full")
        response.headers["Retry-After"] = "1"
        return response

    async def _talk(self, socket: ServerConnection) -> None:
        self.open += 1
        self.number += 1
        speech = _Speech(self, socket, self.number)
        answering = asyncio.create_task(speech.answer())
        try:
            await getattr(self, f"_{self.protocol}")(speech)
            await speech.said()
        finally:
            answering.cancel()
            self.open -= 1

    async def _emf(self, speech: "_Speech") -> None:
        start = json.loads(await speech.socket.recv())
        await speech.say({"type": "started", "session": "1", "resume": "t", "audio_from": 0})
        async for message in speech.audio(2 * start["sample_rate"]):
            if speech.hear(message):
                await speech.say(_result(speech.words, final=False))
        await speech.say(_result(speech.words, final=True))
        await speech.say({"type": "done", "text": " ".join(speech.words), "texts": []})

    async def _vosk(self, speech: "_Speech") -> None:
        config = json.loads(await speech.socket.recv())["config"]
        async for message in speech.audio(2 * config["sample_rate"]):
            speech.hear(message)
            await speech.say({"partial": " ".join(speech.words)})
        await speech.say({"text": " ".join(speech.words), "result": []})

    async def _sherpa(self, speech: "_Speech") -> None:
        async for message in speech.audio(4 * 16_000):
            if speech.hear(message):
                await speech.say({"text": " ".join(speech.words), "segment": 0, "is_final": False})
        await speech.say({"text": " ".join(speech.words), "segment": 0, "is_final": True})
        if speech.number % 2:  # the server in Python only closes
            await speech.say("Done!")

    async def _deepgram(self, speech: "_Speech") -> None:
        assert "interim_results=true" in speech.path
        before: list[str] = []
        async for message in speech.audio(2 * int(re.findall(r"sample_rate=(\d+)", speech.path)[0])):
            if speech.hear(message):
                is_final = len(speech.words) - len(before) == 3
                await speech.say(_deepgram_results(speech.words[len(before) :], is_final))
                before = list(speech.words) if is_final else before
        await speech.say(_deepgram_results(speech.words[len(before) :], True))
        await speech.say({"type": "Metadata", "request_id": "1", "duration": 1.0, "channels": 1})

    async def _openai(self, speech: "_Speech") -> None:
        await speech.say({"type": "session.created", "session": {"type": "transcription"}})
        update = json.loads(await speech.socket.recv())["session"]
        assert update["audio"]["input"]["turn_detection"] is None
        await speech.say({"type": "session.updated", "session": update})
        event = "conversation.item.input_audio_transcription."
        async for message in speech.audio(2 * update["audio"]["input"]["format"]["rate"]):
            for word in speech.hear(message):
                delta = word if word == speech.words[0] else f" {word}"
                await speech.say({"type": f"{event}delta", "item_id": "1", "delta": delta})
        await speech.say({"type": "input_audio_buffer.committed", "item_id": "1", "previous_item_id": None})
        await speech.say({"type": f"{event}completed", "item_id": "1", "transcript": " ".join(speech.words)})
        await speech.said()
        await speech.socket.wait_closed()


class _Speech:
    """The audio of a connection."""

    def __init__(self, server: WordServer, socket: ServerConnection, number: int) -> None:
        self._server, self.socket, self.number = server, socket, number
        assert socket.request is not None
        self.path = socket.request.path
        self.words: list[str] = []
        self.answers: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        self._seconds = 0.0

    async def say(self, message: str | dict[str, object]) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        time = asyncio.get_running_loop().time() + self._server.delay(self._server.open)
        await self.answers.put((time, text))

    async def said(self) -> None:
        """Wait until all is said, or nobody hears it."""
        ends = [asyncio.create_task(end) for end in (self.answers.join(), self.socket.wait_closed())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    async def answer(self) -> None:
        while True:
            time, text = await self.answers.get()
            await asyncio.sleep(time - asyncio.get_running_loop().time())
            await self.socket.send(text)
            self.answers.task_done()

    async def audio(self, byte_rate: int) -> AsyncIterator[float]:
        """The seconds of each message, up to an end marker."""
        async for message in self.socket:
            audio = message if isinstance(message, bytes) else _audio_of(message)
            if not audio:
                return
            if self._seconds > 0.5 and self.number in self._server.breaks:
                await self.socket.close(1011, "broken")
                return
            yield len(audio) / byte_rate

    def hear(self, seconds: float) -> list[str]:
        """New words."""
        self._seconds += seconds
        known = len(self.words)
        wrong = "x" if self.number in self._server.spoils else ""
        self.words = [f"word{wrong}{n}" for n in range(int(self._seconds / WORD_SECONDS + 1e-6))]
        return self.words[known:]


def _audio_of(message: str) -> bytes:
    return b64decode(json.loads(message).get("audio", "")) if message.startswith("{") else b""


def _result(words: list[str], final: bool) -> dict[str, object]:
    stable = words if final else words[:-1]
    text, whole = " ".join(stable), " ".join(words)
    return {"type": "result", "segment": 0, "stable": text, "unstable": whole[len(text) :], "is_final": final}


def _deepgram_results(words: list[str], is_final: bool) -> dict[str, object]:
    alternatives = [{"transcript": " ".join(words), "confidence": 1.0, "words": []}]
    return {"type": "Results", "is_final": is_final, "channel": {"alternatives": alternatives}}
