"""One TCP connection of Wyoming."""

import asyncio
import logging
from contextlib import suppress

from emf.runtime.errors import EmfError
from emf.serve.access.gate import Refusal
from emf.serve.access.keys import Account
from emf.serve.service.service import Service
from emf.serve.session.events import FailureCode
from emf.serve.wyoming import messages
from emf.serve.wyoming.framing import Event, FramingError, read_event
from emf.serve.wyoming.utterance import Utterance

_LOGGER = logging.getLogger(__name__)
_MOST_UNREAD_BYTES = 2**20
_GOODBYE_SECONDS = 2.0
"""For a client to read why the connection ends: what it still sends is read and forgotten meanwhile."""
_PIECE_BYTES = 2**16


class Connection:
    """Serves utterances one after the other, and never waits for a client that does not read."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        service: Service,
        account: Account,
        info: messages.Info,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._service, self._account, self._info = service, account, info
        self._utterance: Utterance | None = None
        self._phrases: dict[str, float] | None = None
        self._timeout = asyncio.timeout(None)
        self._serving = self._leaving = False

    async def run(self) -> None:
        """Serve the connection to its end."""
        try:
            async with self._timeout:
                self._serving = True
                self._await_event()
                await self._serve()
        except TimeoutError:
            if not self._leaving:
                seconds = self._service.session_limits.idle_timeout
                self._complain(FailureCode.IDLE, f"no event came for {seconds:g} seconds; connect again")
        except Refusal as refusal:
            self._tell(messages.Error(refusal.message, refusal.code))
        except (FramingError, EmfError) as error:
            self._complain(FailureCode.BAD_REQUEST, str(error))
        finally:
            self._serving = False
            if self._utterance is not None:
                await self._utterance.close()
            await self._hang_up()

    def leave(self) -> None:
        """Close the connection as soon as nothing is open on it."""
        self._leaving = True
        if self._utterance is None and self._serving:
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def _serve(self) -> None:
        while (event := await read_event(self._reader)) is not None:
            await self._handle(event)
            if self._utterance is None:
                self._await_event()
        if self._utterance is not None and self._utterance.is_finished:  # who sends no more may still read
            await self._utterance.answering

    async def _handle(self, event: Event) -> None:
        match message := messages.message_of(event):
            case messages.Describe():
                self._tell(self._info)
            case messages.Ping(text):
                self._tell(messages.Pong(text))
            case messages.Transcribe():
                self._phrases = message.phrases
            case messages.AudioChunk() if not self._leaving or self._utterance is not None:
                utterance = self._utterance
                if utterance is None or utterance.is_finished:
                    utterance = await self._begin(message)
                utterance.feed(message, event.payload)
            case messages.AudioStart():
                await self._begin(message)
            case messages.AudioStop():
                await self._finish()

    async def _begin(self, start: messages.AudioStart) -> Utterance:
        await self._await_answer()
        if self._utterance is not None:
            await self._utterance.close()  # the client has given it up
        self._utterance = utterance = Utterance(self._service, self._account, start, self._phrases, self._tell)
        self._phrases = None
        self._timeout.reschedule(None)  # the session watches its silence itself
        utterance.answering.add_done_callback(lambda _: self._ended(utterance))
        return utterance

    async def _await_answer(self) -> None:
        """Wait for the end of an utterance whose audio is complete."""
        if self._utterance is not None and self._utterance.is_finished:
            await asyncio.wait([self._utterance.answering])

    async def _finish(self) -> None:
        await self._await_answer()
        if self._utterance is not None:
            self._utterance.finish()
        elif not self._leaving:
            language = self._service.pool.facts.language
            for message in (messages.TranscriptStart(language), messages.Transcript("", language)):
                self._tell(message)
            self._tell(messages.TranscriptStop())

    def _ended(self, utterance: Utterance) -> None:
        if not self._serving or self._utterance is not utterance or utterance.answering.cancelled():
            return
        self._utterance = None
        error = utterance.answering.exception()
        if error is not None:
            _LOGGER.error("an utterance failed", exc_info=error)
        if error is not None or not utterance.answering.result() or self._service.gate.draining:
            self._leaving = True
        self._await_event()

    def _await_event(self) -> None:
        """Give the client some time for its next event, or for reading the last one."""
        loop = asyncio.get_running_loop()
        if not self._leaving:
            self._timeout.reschedule(loop.time() + self._service.session_limits.idle_timeout)
        elif (when := self._timeout.when()) is None or when > loop.time() + _GOODBYE_SECONDS:
            self._timeout.reschedule(loop.time() + _GOODBYE_SECONDS)

    def _complain(self, code: str, message: str) -> None:
        self._service.counters.failed(code)
        self._tell(messages.Error(message, code))

    def _tell(self, message: messages.ServerMessage) -> None:
        transport = self._writer.transport
        if transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
            transport.abort()
        if not transport.is_closing():
            self._writer.write(messages.encode(message))

    async def _hang_up(self) -> None:
        """Close the connection, so that the client can still read what it was told."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                if not self._writer.is_closing():
                    self._writer.write_eof()
                while await self._reader.read(_PIECE_BYTES):
                    pass
                self._writer.close()
                await self._writer.wait_closed()
        self._writer.transport.abort()
