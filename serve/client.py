"""A client of emf-serve for asyncio. Needs websockets and numpy; no engine, no server, no PyTorch."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from emf.runtime.errors import UsageError
from emf.serve.live_text import LiveText, live_text, read_message, stream_url
from emf.serve.reconnecting import Patience, ServerError, explain
from emf.serve.unkept_audio import UnkeptAudio

_BYTES = {"pcm_s16le": 2, "pcm_s32le": 4, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}
_DTYPES = {"pcm_s16le": "<i2", "pcm_s32le": "<i4", "pcm_f32le": "<f4"}
_MESSAGE_SECONDS = 0.25
_LEAST_UNKEPT = 3.0
_RESTARTING = "restarting"
"""The code of a server that ends, and whose sessions another one may go on with."""
_LARGEST_ANSWER = 2**22


@dataclass(slots=True, eq=False)
class _Mark:
    at: int
    name: int
    sent: bool = False
    reached: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Transcriber:
    """One session of emf-serve: audio in, live text out. Comes back by itself when the connection breaks.

    ```
    async with Transcriber("ws://127.0.0.1:8000", sample_rate=16_000) as transcriber:
        await transcriber.send(samples)
        text = await transcriber.finish()
    ```

    `async for` gives the text while it grows, up to the end.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        sample_rate: int,
        encoding: str = "pcm_s16le",
        channels: int = 1,
        separate: bool = False,
        api_key: str | None = None,
        phrases: Mapping[str, float] | None = None,
        endpoints: Mapping[str, float] | None = None,
        partials: bool = True,
        patience: float = 20.0,
        most_unkept: float = 60.0,
    ) -> None:
        """Describe the session; `async with` begins it.

        Args:
            url: of the server; `ws`, `wss`, `http` or `https`, with or without the path. Of several servers that
                share a store of sessions, any one is tried next when a connection breaks.
            sample_rate: in Hz.
            encoding: `pcm_s16le`, `pcm_s32le`, `pcm_f32le`, `mulaw` or `alaw`.
            channels: of the audio.
            separate: transcribe each channel by itself.
            api_key: of the server.
            phrases: likelier phrases with their scores.
            endpoints: `silence_before_speech`, `silence_after_speech`, `max_length`, in seconds.
            partials: also get text that may still change.
            patience: seconds to try again when the connection breaks.
            most_unkept: seconds of audio that wait to be decoded before `send` waits; at least 3.

        Raises:
            UsageError: an unknown encoding, or too little that may wait.
        """
        if not most_unkept >= _LEAST_UNKEPT:
            raise UsageError(f"expected most_unkept of at least {_LEAST_UNKEPT:g} seconds, found {most_unkept!r:.40}")
        if encoding not in _BYTES:
            raise UsageError(f"expected an encoding of {', '.join(_BYTES)}, found {encoding!r:.40}")
        self._urls = deque(stream_url(one) for one in ([url] if isinstance(url, str) else url))
        if not self._urls:
            raise UsageError("expected the URL of a server, found none")
        self._patience = Patience(patience)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._start: dict[str, Any] = {
            "type": "start",
            "sample_rate": sample_rate,
            "encoding": encoding,
            "channels": channels,
            "separate": separate,
            "partials": partials,
            **({"phrases": dict(phrases)} if phrases else {}),
            **({"endpoints": dict(endpoints)} if endpoints else {}),
        }
        self._encoding, self._rate, self._most_unkept = encoding, sample_rate, int(most_unkept * sample_rate)
        self._audio = UnkeptAudio(channels * _BYTES[encoding])
        self._started, self._changed, self._kept = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._marks: deque[_Mark] = deque()
        self._num_marks = self._finals = 0
        self._finished = False
        self._token: str | None = None
        self._ended: dict[int, int] = {}
        self._heard: dict[int, tuple[int, bool, float]] = {}
        self._texts: asyncio.Queue[LiveText | None] = asyncio.Queue()
        self._task: asyncio.Task[str] | None = None
        self.reconnects = 0

    async def __aenter__(self) -> "Transcriber":
        self._task = asyncio.create_task(self._run())
        await self._or_end(self._started.wait())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def send(self, audio: bytes | npt.NDArray[Any]) -> None:
        """Add audio: bytes in the session's encoding, or an array of its type, shape (n,) or (n, channels).

        Waits while too much waits to be decoded.

        Raises:
            ServerError: the session has ended.
            UsageError: the array is of another type.
        """
        self._audio.add(audio if isinstance(audio, bytes) else self._bytes(audio))
        self._changed.set()
        while self._audio.unkept > self._most_unkept:
            self._kept.clear()
            await self._or_end(self._kept.wait())
        self._check()

    @property
    def unkept_seconds(self) -> float:
        """Audio that the client keeps because the server may ask for it again."""
        return self._audio.unkept / self._rate

    async def mark(self) -> None:
        """Wait until all audio sent so far is decoded, which the last part is only when more follows it."""
        self._num_marks += 1
        mark = _Mark(self._audio.end, self._num_marks)
        self._marks.append(mark)
        self._changed.set()
        await self._or_end(mark.reached)

    async def finish(self) -> str:
        """Declare the audio complete and wait for the whole text; that of separate channels a line each.

        Raises:
            ServerError: the session failed.
        """
        self._finished = True
        self._changed.set()
        if self._task is None:
            raise UsageError("expected a session that has begun; use async with")
        return await asyncio.shield(self._task)

    async def __aiter__(self) -> AsyncIterator[LiveText]:
        """The text as it grows, up to the end of the session; `finish` raises what went wrong."""
        while (text := await self._texts.get()) is not None:
            yield text

    def _bytes(self, audio: npt.NDArray[Any]) -> bytes:
        expected = np.dtype(_DTYPES.get(self._encoding, "u1"))
        if audio.dtype != expected:
            raise UsageError(f"expected {expected} samples for {self._encoding}, found {audio.dtype}; convert them")
        return np.ascontiguousarray(audio).tobytes()

    def _check(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()

    async def _or_end(self, waiting: Any) -> None:
        """Wait, unless the session ends before."""
        task = asyncio.ensure_future(waiting)
        await asyncio.wait([task, *([self._task] if self._task else [])], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            self._check()

    # The connection

    async def _run(self) -> str:
        try:
            while True:
                try:
                    return await self._connect()
                except ServerError as error:
                    if error.code != _RESTARTING or self._token is None or len(self._urls) == 1:
                        raise
                    self._urls.rotate(-1)
                    await self._patience.wait(error)
                except (OSError, TimeoutError, WebSocketException) as error:
                    if self._token is None and len(self._urls) == 1:
                        raise explain(error) from error
                    self._urls.rotate(-1)
                    await self._patience.wait(error)
        finally:
            self._texts.put_nowait(None)

    async def _connect(self) -> str:
        """Begin the session or go on with it, until the whole text is there."""
        async with connect(
            self._urls[0], additional_headers=self._headers, max_size=_LARGEST_ANSWER, compression=None
        ) as socket:
            heard = {str(channel): segment for channel, segment in self._ended.items()}
            again = {"resume": self._token, "have": self._finals, "heard": heard} if self._token else {}
            await socket.send(json.dumps(self._start | again))
            answer = read_message(await socket.recv())
            self._go_on_from(answer["audio_from"])
            self._token = answer["resume"]
            writing = asyncio.create_task(self._write(socket))
            try:
                async for received in socket:
                    if (text := self._take(read_message(received))) is not None:
                        return text
            finally:
                writing.cancel()
                await asyncio.wait([writing])
        raise ConnectionError("the server closed the connection before the end")

    def _go_on_from(self, sample: int) -> None:
        if not self._audio.rewind(sample):
            raise ServerError("lost", "expected the server to have all audio that it kept; begin another session")
        for mark in self._marks:
            mark.sent = False
        self.reconnects += self._started.is_set()
        self._started.set()
        self._patience.restore()

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(WebSocketException):  # the reader hears of it, too
            while True:
                self._changed.clear()
                while data := self._audio.take(self._until_next_mark()):
                    await socket.send(data)
                    await self._send_marks(socket)
                await self._send_marks(socket)
                if self._finished:
                    await socket.send(json.dumps({"type": "finish"}))
                    return
                await self._changed.wait()

    def _until_next_mark(self) -> int:
        most = max(int(_MESSAGE_SECONDS * self._rate), 1)
        ahead = (mark.at - self._audio.next for mark in self._marks if not mark.sent)
        return min([most, *(samples for samples in ahead if samples > 0)])

    async def _send_marks(self, socket: ClientConnection) -> None:
        for mark in list(self._marks):
            if not mark.sent and mark.at <= self._audio.next:
                mark.sent = True
                await socket.send(json.dumps({"type": "mark", "id": mark.name}))

    def _is_news(self, message: dict[str, Any]) -> bool:
        """Whether a result goes beyond what came before: another server begins a little earlier."""
        channel, position = message["channel"], (message["segment"], message["is_final"], message["end"])
        if position < self._heard.get(channel, position):
            return False
        self._heard[channel] = position
        return True

    def _take(self, message: dict[str, Any]) -> str | None:
        """Take a message of the server; return the whole text, if that is what came."""
        match message["type"]:
            case "result":
                self._finals += message["is_final"]
                if message["is_final"]:
                    self._ended[message["channel"]] = message["segment"]
                if self._is_news(message):
                    self._texts.put_nowait(live_text(message))
            case "kept":
                self._audio.keep(message["samples"])
                self._kept.set()
            case "marked":
                while self._marks and self._marks[0].name <= message["id"]:
                    self._marks.popleft().reached.set_result(None)
            case "done":
                text: str = message["text"]
                return text
        return None
