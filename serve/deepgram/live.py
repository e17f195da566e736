"""One WebSocket of Deepgram's live protocol."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from emf.runtime.errors import AudioError, UsageError
from emf.serve.access.gate import Admission
from emf.serve.containers.live_audio import LiveAudio
from emf.serve.deepgram import messages
from emf.serve.deepgram.live_answers import Configuring, Finalizing, LiveAnswers
from emf.serve.deepgram.parameters import Parameters, phrases_of
from emf.serve.deepgram.refusals import live_close
from emf.serve.deepgram.request import DEPRECATED, Request
from emf.serve.deepgram.words import seconds
from emf.serve.service.service import Service
from emf.serve.session.audio_format import AudioFormat
from emf.serve.session.events import Ended, Failed, FailureCode
from emf.serve.session.session import Session
from emf.serve.session.settings import SessionSettings
from emf.serve.sockets.closing import CloseCode, reason
from emf.serve.sockets.reader import SocketReader

PROTOCOL = "deepgram"
_MOST_BAD_MESSAGES = 100
_LONGEST_ECHO = 1_000
_PROGRESS_SECONDS = 0.1


class Live:
    """Reads the client's messages and writes the session's answers, each at its own pace."""

    def __init__(
        self, websocket: WebSocket, service: Service, admission: Admission, request: Request, parameters: Parameters
    ) -> None:
        self._websocket, self._service, self._admission = websocket, service, admission
        self._request, self._parameters = request, parameters
        self._reader = SocketReader(websocket)
        self._session: Session | None = None
        self._answers: LiveAnswers | None = None
        self._begun, self._finished = asyncio.Event(), False
        self._failure: Failed | None = None
        self._digest, self._channels, self._bad_messages = sha256(), 1, 0
        self._audio = LiveAudio(parameters.form, parameters.multichannel, self._begin, self._fail_audio)

    async def run(self) -> None:
        """Serve an accepted connection to its end."""
        reading = asyncio.create_task(self._read())
        sending = asyncio.create_task(self._send())
        try:
            await asyncio.wait([reading, sending], return_when=asyncio.FIRST_COMPLETED)
            gone = self._reader.close_code is not None
            if reading.done() and reading.exception() is not None:
                self._fail(FailureCode.INTERNAL, "the stream failed; begin another")
            if not gone and not sending.done():
                await asyncio.wait([sending])
        finally:
            for task in (reading, sending):
                task.cancel()
            self._audio.close()
            if self._session is not None:
                await self._service.close_session(self._session)
        if not gone:
            await self._close()
        for task in (reading, sending):
            if task.done() and not task.cancelled():
                task.result()

    def _begin(self, form: AudioFormat) -> Session:
        wishes = self._parameters.live_wishes
        every = 1.0 if self._parameters.utterance_end is None else _PROGRESS_SECONDS
        self._session = self._service.open_session(PROTOCOL, self._admission, SessionSettings(form, wishes, every))
        self._answers = LiveAnswers(self._request, self._parameters, form)
        self._channels = form.channels
        self._begun.set()
        return self._session

    def _fail_audio(self, error: AudioError) -> None:
        self._fail(FailureCode.BAD_AUDIO, str(error))

    def _fail(self, code: str, message: str) -> None:
        """End the session, or what would become one."""
        if self._session is not None:
            self._session.fail(code, message)
        elif self._failure is None:
            self._failure = Failed(code, message)
            self._service.counters.failed(code)
            self._begun.set()

    async def _read(self) -> None:
        try:
            while (received := await self._next()) is not None:
                if self._finished:
                    continue
                if isinstance(received, str):
                    await self._handle(received)
                elif received:
                    self._digest.update(received)
                    await self._audio.feed(received)
                else:  # as CloseStream, once
                    await self._finish()
        except AudioError as error:
            self._fail_audio(error)
        except TimeoutError:
            limit = self._service.session_limits.idle_timeout
            self._fail(FailureCode.IDLE, f"no audio came for {limit:g} seconds; send KeepAlive meanwhile")

    async def _next(self) -> str | bytes | None:
        """The next message; a session watches its silence by itself."""
        patience = None if self._session is not None else self._service.session_limits.idle_timeout
        async with asyncio.timeout(patience):
            return await self._reader.next()

    async def _handle(self, text: str) -> None:
        try:
            message = messages.decode(text)
        except msgspec.MsgspecError as error:
            self._complain(f"expected a message of the protocol ({error})", text)
            return
        match message:
            case messages.CloseStream():
                await self._finish()
            case messages.KeepAlive() if self._session is not None:
                self._session.touch()
            case messages.Finalize() if self._session is not None:
                self._flush(Finalizing())
            case messages.Configure(keyterms):
                self._configure(keyterms)

    async def _finish(self) -> None:
        self._finished = True
        await self._audio.finish()
        if self._audio.is_empty:
            self._begun.set()

    def _flush(self, name: Finalizing | Configuring) -> None:
        if self._session is not None and self._answers is not None:
            self._answers.ask(name)
            self._session.flush(name)

    def _configure(self, keyterms: list[str] | None) -> None:
        if keyterms is None:
            self._flush(Configuring(None))
            return
        try:
            self._parameters = replace(self._parameters, phrases=phrases_of(keyterms) or {})
        except UsageError as error:
            if self._session is not None:
                self._session.complain(messages.KEYTERM_LIMIT, str(error))
            return
        self._flush(Configuring(keyterms))
        if self._session is not None:
            self._session.change(self._parameters.live_wishes)

    def _complain(self, description: str, original: str) -> None:
        self._bad_messages += 1
        if self._bad_messages > _MOST_BAD_MESSAGES:
            self._fail(FailureCode.BAD_REQUEST, description)
        elif self._session is not None:
            line = description.replace("\n", " ")
            self._session.complain(messages.SCHEMA_ERROR, f"{line}\n{original[:_LONGEST_ECHO]}")

    async def _send(self) -> None:
        await self._begun.wait()
        with suppress(WebSocketDisconnect):
            if self._session is None and self._failure is None:
                await self._websocket.send_text(messages.encode(self._metadata(0.0)))
            while self._session is not None and self._answers is not None:
                event = await self._session.take()
                if event is None:
                    break
                for message in self._answers.messages(event):
                    await self._websocket.send_text(messages.encode(message))
                if isinstance(event, Failed):
                    self._failure = event
                elif isinstance(event, Ended):
                    await self._websocket.send_text(messages.encode(self._metadata(self._session.audio_seconds)))

    def _metadata(self, duration: float) -> messages.Metadata:
        request = self._request
        return messages.Metadata(
            transaction_key=DEPRECATED,
            request_id=request.id,
            sha256=self._digest.hexdigest(),
            created=request.created_text,
            duration=seconds(duration),
            channels=self._channels,
            models=[request.model_uuid],
            model_info={request.model_uuid: request.model_info},
        )

    async def _close(self) -> None:
        code, message = CloseCode.DONE, ""
        if self._failure is not None:
            code, message = live_close(self._failure.code, self._failure.message)
        with suppress(WebSocketDisconnect, RuntimeError):  # the client was faster
            await self._websocket.close(code, reason(message))
