"""One WebSocket of the project's own protocol."""

import asyncio
from contextlib import ExitStack, suppress
from dataclasses import replace

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from emf.runtime.errors import EmfError
from emf.runtime.recognition.endpoint import EndpointRules
from emf.serve.access.gate import Admission
from emf.serve.native import messages
from emf.serve.native.conversation import Conversation
from emf.serve.native.conversations import Conversations
from emf.serve.native.record import Record, Recorder, take
from emf.serve.pool.stream_pool import StreamWishes
from emf.serve.service.service import Service
from emf.serve.session.audio_format import AudioFormat
from emf.serve.session.events import FailureCode
from emf.serve.session.settings import SessionSettings
from emf.serve.sockets.closing import CloseCode, close_code, reason
from emf.serve.sockets.reader import SocketReader
from emf.serve.store.session_store import Claim, claim_of

PROTOCOL = "emf"
_MOST_BAD_MESSAGES = 100
_GOODBYE_SECONDS = 2.0
"""For the client to close the connection after the last message, by which it says that it got it."""


class Connection:
    """Reads the client's messages and writes the session's answers, each at its own pace."""

    def __init__(self, websocket: WebSocket, service: Service, conversations: Conversations) -> None:
        self._websocket, self._service, self._conversations = websocket, service, conversations
        self._reader = SocketReader(websocket)
        self._bad_messages = 0

    async def run(self, admission: Admission, stack: ExitStack) -> None:
        """Serve an accepted connection to its end; `stack` holds what a session keeps of it."""
        if admission.over_quota:
            await self._refuse(FailureCode.OVER_QUOTA, "expected fewer streams with this key; end one, then try again")
            return
        start = await self._start()
        if start is None:
            return
        conversation = await self._conversation(start, admission, stack)
        if conversation is None:
            return
        started = messages.encode(conversation.started())
        sender = conversation.sender = asyncio.create_task(self._send(conversation, started, start))
        reading = asyncio.create_task(self._read(conversation, sender))
        try:
            await asyncio.wait([reading, sender], return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() and not sender.cancelled() and conversation.failure is None:
                await asyncio.wait([reading], timeout=_GOODBYE_SECONDS)
        finally:
            is_open = not reading.done()
            reading.cancel()
            if conversation.sender is sender:
                sender.cancel()
                await self._leave(conversation)
        if is_open:
            await self._close(conversation)
        for task in (reading, sender):
            if task.done() and not task.cancelled():
                task.result()

    async def _start(self) -> messages.Start | None:
        """The message that begins a session; `None` where the connection ended without one."""
        try:
            async with asyncio.timeout(self._service.limits.start_timeout):
                first = await self._reader.next()
        except TimeoutError:
            await self._refuse(FailureCode.IDLE, 'expected {"type":"start"} as the first message, found none')
            return None
        if first is None:
            return None
        try:
            message = messages.decode(first if isinstance(first, str) else "")
        except msgspec.MsgspecError as error:
            await self._refuse(messages.BAD_MESSAGE, f'expected {{"type":"start"}} as the first message ({error})')
            return None
        if isinstance(message, messages.Start):
            return message
        await self._refuse(messages.BAD_MESSAGE, 'expected {"type":"start"} as the first message, found another type')
        return None

    async def _conversation(self, start: messages.Start, admission: Admission, stack: ExitStack) -> Conversation | None:
        saved: tuple[Claim, Record] | None = None
        resume = start.resume
        if start.resume is not None:
            found = await self._conversations.find(start.resume)
            if found is not None:
                return found
            saved = await take(self._service.store, start.resume) if self._service.store is not None else None
            if saved is None:
                await self._refuse("unknown_token", "expected the token of a session that lives; begin another")
                return None
            start = saved[1].start
        try:
            settings = self._settings(start)
            if settings.form.num_streams > admission.place.count:
                admission.place.more(settings.form.num_streams - admission.place.count)
        except EmfError as error:
            overloaded = isinstance(error, RuntimeError)
            await self._refuse(FailureCode.OVERLOADED if overloaded else FailureCode.BAD_REQUEST, str(error))
            return None
        session = self._service.open_session(PROTOCOL, admission, settings, saved[1].session if saved else None)
        if saved is None or resume is None:
            conversation = Conversation(session, stack.pop_all(), start.partials)
        else:
            record = saved[1]
            conversation = Conversation(session, stack.pop_all(), start.partials, record.id, resume, log=record.log)
        if self._service.store is not None:
            claim = saved[0] if saved else claim_of(conversation.token)
            conversation.recorder = Recorder(self._service.store, claim, start, conversation.id)
        self._conversations.add(conversation)
        return conversation

    def _settings(self, start: messages.Start) -> SessionSettings:
        settings = _settings(start)
        if self._service.store is None:
            return settings
        return replace(settings, saved_every=self._service.limits.saved_every)

    async def _read(self, conversation: Conversation, sender: asyncio.Task[None]) -> None:
        session = conversation.session
        async for received in self._reader:
            if conversation.sender is not sender:
                return  # another connection goes on with the session
            if isinstance(received, bytes):
                session.feed(received)
                continue
            try:
                message = messages.decode(received)
            except msgspec.MsgspecError as error:
                await self._complain(conversation, str(error))
                continue
            match message:
                case messages.Mark(name):
                    session.mark(name)
                case messages.KeepAlive():
                    session.touch()
                case messages.Finish():
                    session.finish()
                case messages.Start():
                    await self._complain(conversation, "expected one start a connection, found another")

    async def _complain(self, conversation: Conversation, message: str) -> None:
        self._bad_messages += 1
        if self._bad_messages > _MOST_BAD_MESSAGES:
            conversation.session.fail(FailureCode.BAD_REQUEST, f"expected messages of the protocol ({message})")
            return
        conversation.session.complain(messages.BAD_MESSAGE, message)

    async def _send(self, conversation: Conversation, started: str, start: messages.Start) -> None:
        with suppress(WebSocketDisconnect):
            await self._websocket.send_text(started)
            async for text in conversation.answers(start.have, start.heard):
                await self._websocket.send_text(text)

    async def _leave(self, conversation: Conversation) -> None:
        """The connection ends: keep the session for the client to come back, unless it took its leave."""
        if self._reader.ended_cleanly or (conversation.ended and conversation.failure):
            await self._conversations.end(conversation)
        else:
            self._conversations.lost(conversation)

    async def _close(self, conversation: Conversation) -> None:
        failure = conversation.failure
        code = close_code(failure.code) if failure else CloseCode.DONE
        await self._close_with(code, failure.message if failure else "")

    async def _refuse(self, code: str, message: str) -> None:
        self._service.counters.failed(code)
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.send_text(messages.encode(messages.Error(code, message)))
        await self._close_with(close_code(code), message)

    async def _close_with(self, code: CloseCode, message: str) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # the client was faster
            await self._websocket.close(code, reason(message))


def _settings(start: messages.Start) -> SessionSettings:
    """What a client asks for.

    Raises:
        EmfError: it makes no sense.
    """
    form = AudioFormat(start.encoding, start.sample_rate, start.channels, start.separate)
    endpoint = None
    if start.endpoints is not None:
        given = msgspec.structs.asdict(start.endpoints)
        endpoint = EndpointRules(**{name: value for name, value in given.items() if value is not None})
    return SessionSettings(form, StreamWishes(start.phrases, endpoint))
