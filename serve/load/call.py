"""One recording spoken to a server at the pace of speech, and when which text came back."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from emf.runtime.arrays import FloatArray
from emf.serve.load.client import CallFailed, CallRefused, Client

MESSAGE_SECONDS = 0.1
ANSWER_SECONDS = 60.0
"""How long the end may take to come back before a call counts as failed."""
_OVERLOAD, _DONE = 1013, (1000, 1001)
_FULL = (429, 503)
_MOST_UNREAD = 2**20
_DIRECTLY: dict[str, Any] = {"proxy": None} if "proxy" in signature(connect.__init__).parameters else {}
"""Before its version 15, websockets knows no proxies."""


@dataclass(frozen=True, slots=True)
class Update:
    """Text that came.

    Attributes:
        at: seconds from the begin of the audio.
        sent: messages sent by then, the end marker counted as one.
        text: of the whole recording so far.
    """

    at: float
    sent: int
    text: str


@dataclass(slots=True)
class Call:
    """A recording on its way.

    Attributes:
        recording: its number.
        num_messages: of its audio.
        begin: by the event loop's clock.
        seconds: length of the audio.
        updates: changes of the text.
        text: at the end.
        final: seconds from the end of the audio to the server's end marker; `None` until it comes.
        late: how many seconds after its time each message was sent.
    """

    recording: int
    num_messages: int
    seconds: float
    begin: float = 0.0
    updates: list[Update] = field(default_factory=list)
    text: str = ""
    final: float | None = None
    late: list[float] = field(default_factory=list)

    def due(self, sent: int) -> float:
        """When so many messages are to be sent, in seconds from the begin."""
        return min(sent * MESSAGE_SECONDS, self.seconds)


class Speaker(Protocol):
    """Who speaks recordings to a server, each on a connection of its own."""

    async def speak(self, recording: int, samples: FloatArray, watch: Callable[[Call], None] | None = None) -> Call:
        """See `call`."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to call, and how. It is a `Speaker`.

    Attributes:
        url: with the protocol's path.
        headers: of the request.
        client: makes a client for each call.
    """

    url: str
    headers: Mapping[str, str]
    client: Callable[[], Client]

    async def speak(self, recording: int, samples: FloatArray, watch: Callable[[Call], None] | None = None) -> Call:
        """See `call`."""
        return await call(self, recording, samples, watch)


async def call(
    server: Server, recording: int, samples: FloatArray, watch: Callable[[Call], None] | None = None
) -> Call:
    """Speak a recording from begin to end.

    Args:
        server: where.
        recording: its number.
        samples: mono audio at the client's rate.
        watch: sees the call after each change of the text.

    Raises:
        CallRefused: the server takes no more.
        CallFailed: anything else went wrong.
    """
    client = server.client()
    step = round(MESSAGE_SECONDS * client.sample_rate)
    pieces = [samples[at : at + step] for at in range(0, len(samples), step)]
    made = Call(recording, len(pieces), len(samples) / client.sample_rate)
    try:
        async with connect(
            server.url,
            additional_headers=server.headers,
            compression=None,
            max_size=None,
            max_queue=_MOST_UNREAD,
            **_DIRECTLY,
        ) as socket:
            await _Talk(socket, client, made, watch).run(pieces)
    except InvalidStatus as error:
        raise _refusal(error) from error
    except ConnectionClosed as error:
        code = error.rcvd.code if error.rcvd else 1006
        if code == _OVERLOAD and not made.updates:
            raise CallRefused(f"closed_{code}") from error
        raise CallFailed(f"closed_{code}", error.rcvd.reason if error.rcvd else "") from error
    except TimeoutError as error:
        raise CallFailed("timeout") from error
    except (OSError, InvalidHandshake) as error:
        raise CallFailed("unreachable", str(error)) from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise CallFailed("bad_answer", f"{type(error).__name__}: {error}") from error
    return made


class _Talk:
    def __init__(
        self, socket: ClientConnection, client: Client, made: Call, watch: Callable[[Call], None] | None
    ) -> None:
        self._socket, self._client, self._call, self._watch = socket, client, made, watch
        self._sent = 0
        self._answers = asyncio.Semaphore(1)

    async def run(self, pieces: list[FloatArray]) -> None:
        for message in self._client.begin():
            await self._socket.send(message)
        self._call.begin = asyncio.get_running_loop().time()
        hearing = asyncio.create_task(self._hear())
        speaking = asyncio.create_task(self._speak(pieces))
        try:
            await asyncio.wait([hearing, speaking], return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                with suppress(ConnectionClosed):  # what the server said before is yet to be read
                    speaking.result()
                async with asyncio.timeout(ANSWER_SECONDS):
                    await hearing
            hearing.result()
        finally:
            for task in (hearing, speaking):
                task.cancel()
            await asyncio.gather(hearing, speaking, return_exceptions=True)

    async def _speak(self, pieces: list[FloatArray]) -> None:
        loop, made = asyncio.get_running_loop(), self._call
        for number, piece in enumerate(pieces, start=1):
            due = made.begin + made.due(number)
            if (ahead := due - loop.time()) > 0:
                await asyncio.sleep(ahead)
            if self._client.lock_step:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._answers.acquire()
            elif ahead > 0 or number > 1:
                made.late.append(loop.time() - due)
            self._sent = number
            await self._socket.send(self._client.audio(piece))
        self._sent = len(pieces) + 1
        if self._client.lock_step:
            await self._answers.acquire()
        for message in self._client.end():
            await self._socket.send(message)

    async def _hear(self) -> None:
        """Take answers up to the end marker."""
        made, loop = self._call, asyncio.get_running_loop()
        async for message in self._socket:
            now = loop.time() - made.begin
            heard = self._client.hear(message)
            self._answers.release()
            if heard is None:
                continue
            if heard.text != made.text:
                made.text = heard.text
                made.updates.append(Update(now, self._sent, heard.text))
                if self._watch is not None:
                    self._watch(made)
            if heard.is_end:
                made.final = now - made.seconds
                return
        close_code = self._socket.protocol.close_code
        if not (self._client.ends_by_close and self._sent > made.num_messages and close_code in _DONE):
            raise CallFailed(f"closed_{close_code}", "the server closed the connection before the end")
        made.final = loop.time() - made.begin - made.seconds


def _refusal(error: InvalidStatus) -> CallFailed:
    status = error.response.status_code
    if status not in _FULL:
        return CallFailed(f"http_{status}", (error.response.body or b"")[:200].decode("utf-8", "replace"))
    after = error.response.headers.get("Retry-After", "")
    return CallRefused(f"http_{status}", float(after) if after.isdigit() else 1.0)
