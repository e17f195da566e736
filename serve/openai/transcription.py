"""A sound file on its way to text: read in threads, decoded by a session among those of live speech."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.errors import AudioError, Overloaded
from emf.runtime.recognition.result import Word
from emf.serve.access.gate import Admission
from emf.serve.containers.sound_upload import mono_blocks
from emf.serve.openai.connection import PROTOCOL
from emf.serve.openai.errors import request_error
from emf.serve.openai.session_config import keyword_wishes
from emf.serve.openai.uploads import Upload
from emf.serve.service.service import Service
from emf.serve.session.audio_format import AudioFormat, Encoding
from emf.serve.session.events import Ended, Event, Failed, FailureCode, Final, Passage, StableGrew
from emf.serve.session.session import Session
from emf.serve.session.settings import UNBROKEN, SessionSettings

_WAIT_SECONDS = 20.0
"""For a place, once the file is here."""
_POLL_SECONDS = 0.05
_SILENT_RATE = 16_000
"""Of a file without audio."""
Made = TypeVar("Made")


@dataclass(slots=True)
class Transcript:
    """What a file says.

    Attributes:
        text: all of it.
        passages: its segments.
        seconds: length of the audio.
    """

    text: str = ""
    passages: list[Passage] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def words(self) -> list[Word]:
        """The words of all segments."""
        return list(chain.from_iterable(passage.words for passage in self.passages))


@asynccontextmanager
async def transcribing(service: Service, admission: Admission, upload: Upload) -> AsyncIterator[Session]:
    """A session that decodes an upload; its events are to be taken.

    Raises:
        RequestError: the file cannot be read, or no place is free.
    """
    blocks = mono_blocks(upload.file, Path(upload.name))
    try:
        first = await _in_thread(lambda: next(blocks, None))
    except AudioError as error:
        raise request_error(Failed(FailureCode.BAD_AUDIO, str(error))) from error
    await _claim_place(admission)
    form = AudioFormat(Encoding.PCM_F32LE, _SILENT_RATE if first is None else first[0])
    wishes = keyword_wishes(upload.keywords, UNBROKEN)
    session = service.open_session(PROTOCOL, admission, SessionSettings(form, wishes))
    feeding = asyncio.create_task(_feed(session, first, blocks))
    try:
        yield session
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
        await service.close_session(session)


async def follow(session: Session, transcript: Transcript) -> AsyncIterator[str]:
    """Fill in the transcript; meanwhile, give its text as it grows, in pieces to be joined.

    Raises:
        RequestError: the session failed.
    """
    said = False
    while (event := await session.take()) is not None:
        if isinstance(event, StableGrew):
            yield event.text if event.continues or not said else f" {event.text}"
            said = True
        _fill_in(transcript, event, session)


def _fill_in(transcript: Transcript, event: Event, session: Session) -> None:
    match event:
        case Final(passage=passage):
            transcript.passages.append(passage)
        case Ended(texts):
            transcript.text, transcript.seconds = texts[0], session.audio_seconds
        case Failed():
            raise request_error(event)


async def _feed(
    session: Session, first: tuple[int, FloatArray] | None, blocks: Iterator[tuple[int, FloatArray]]
) -> None:
    block = first
    try:
        while block is not None:
            session.feed(block[1].astype(np.float32, copy=False).tobytes())
            await session.room()
            block = await _in_thread(lambda: next(blocks, None))
    except AudioError as error:
        session.fail(FailureCode.BAD_AUDIO, str(error))
    except Exception:
        session.fail(FailureCode.INTERNAL, "the file could not be read; send it again")
        raise
    session.finish()


async def _claim_place(admission: Admission) -> None:
    """Take the place that was given back while the file came; wait a while for one.

    Raises:
        RequestError: none gets free.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_WAIT_SECONDS):
            while not admission.place.count:
                try:
                    admission.place.more(1)
                except Overloaded:
                    await asyncio.sleep(_POLL_SECONDS)
    if not admission.place.count:
        raise request_error(Failed(FailureCode.OVERLOADED, "no stream was free; send the file again later", 2.0))


async def _in_thread(work: Callable[[], Made]) -> Made:
    """Work in a thread. If nobody waits for it any more, it is still awaited: it uses the file."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
