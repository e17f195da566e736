"""One utterance: audio from its start to its transcript."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeAlias

from emf.runtime.errors import AudioError
from emf.serve.access.keys import Account
from emf.serve.pool.stream_pool import StreamWishes
from emf.serve.service.service import Service
from emf.serve.session.audio_format import AudioFormat, Encoding
from emf.serve.session.events import Ended, Failed, StableGrew
from emf.serve.session.settings import UNBROKEN, SessionSettings
from emf.serve.wyoming import messages

PROTOCOL = "wyoming"
_ENCODINGS = {2: Encoding.PCM_S16LE, 4: Encoding.PCM_S32LE}

Tell: TypeAlias = Callable[[messages.ServerMessage], None]


class Utterance:
    """A session of its own, and what the client is told of it.

    Attributes:
        start: how its audio comes.
        is_finished: the audio is complete.
        answering: ends with the last message; its result says whether all went well.
    """

    def __init__(
        self,
        service: Service,
        account: Account,
        start: messages.AudioStart,
        phrases: dict[str, float] | None,
        tell: Tell,
    ) -> None:
        """Begin, if there is room.

        Raises:
            AudioError: audio of this kind cannot be decoded.
            Refusal: the server drains or carries no more.
        """
        settings = SessionSettings(_form_of(start), StreamWishes(phrases, UNBROKEN, forgiving=True))
        self.start, self.is_finished = start, False
        self._service, self._tell = service, tell
        self._language = service.pool.facts.language
        self._admission = ExitStack()
        admission = self._admission.enter_context(service.gate.enter(account))
        self._session = service.open_session(PROTOCOL, admission, settings)
        self.answering = asyncio.create_task(self._answer())

    def feed(self, chunk: messages.AudioStart, data: bytes) -> None:
        """Take audio.

        Raises:
            AudioError: it is of another kind than what was announced.
        """
        found = (chunk.rate, chunk.width, chunk.channels)
        announced = (self.start.rate, self.start.width, self.start.channels)
        if found != announced:
            raise AudioError(f"expected audio of {announced} (rate, width, channels), found {found}")
        self._session.feed(data)

    def finish(self) -> None:
        """The audio is complete."""
        self.is_finished = True
        self._session.finish()

    async def close(self) -> None:
        """Give it up, if it has not ended."""
        self.answering.cancel()
        await asyncio.wait([self.answering])
        await self._release()

    async def _answer(self) -> bool:
        self._tell(messages.TranscriptStart(self._language))
        begun = False
        while (event := await self._session.take()) is not None:
            match event:
                case StableGrew(text=text, continues=continues):
                    self._tell(messages.TranscriptChunk(text if continues or not begun else f" {text}"))
                    begun = True
                case Ended(texts):
                    self._tell(messages.Transcript(texts[0], self._language))
                    self._tell(messages.TranscriptStop())
                case Failed(code, message):
                    self._tell(messages.Error(message, code))
                    await self._release()
                    return False
        await self._release()
        return True

    async def _release(self) -> None:
        await self._service.close_session(self._session)
        self._admission.close()


def _form_of(start: messages.AudioStart) -> AudioFormat:
    encoding = _ENCODINGS.get(start.width)
    if encoding is None:
        raise AudioError(f"expected samples of 2 or 4 bytes, found {start.width}; convert the audio")
    return AudioFormat(encoding, start.rate, start.channels)
