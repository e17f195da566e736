"""Prerecorded audio: one request of HTTP with a whole recording, one answer."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import BinaryIO, cast

import msgspec
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from emf.runtime.errors import AudioError
from emf.runtime.recognition.result import Word
from emf.serve.access.gate import Admission
from emf.serve.containers.sound_upload import sound_blocks, sound_format
from emf.serve.containers.wav_header import is_wav
from emf.serve.deepgram import refusals
from emf.serve.deepgram.live import PROTOCOL
from emf.serve.deepgram.parameters import Parameters
from emf.serve.deepgram.prerecorded_answer import make_answer
from emf.serve.deepgram.refusals import refuse
from emf.serve.deepgram.request import Request
from emf.serve.pool.stream_pool import StreamWishes
from emf.serve.service.service import Service
from emf.serve.session.audio_format import AudioFormat
from emf.serve.session.events import Ended, Failed, FailureCode, Final
from emf.serve.session.session import Session
from emf.serve.session.settings import UNBROKEN, SessionSettings

_LOGGER = logging.getLogger(__name__)
MOST_BYTES = 512 * 2**20
"""Of a recording."""
_RAW_PIECE = 1 << 16
_JSON = "application/json"
_NO_URLS = "expected the audio in the body, found JSON with a URL; this server fetches nothing: send the file itself"


@dataclass(frozen=True, slots=True)
class _Upload:
    file: BinaryIO
    size: int
    digest: str


class _Refused(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


async def transcribe(
    http: HttpRequest, service: Service, admission: Admission, request: Request, parameters: Parameters
) -> Response:
    """Answer an admitted request."""
    if http.headers.get("content-type", "").partition(";")[0].strip().lower() == _JSON:
        return refuse(request, HTTPStatus.BAD_REQUEST, _NO_URLS)
    try:
        async with _upload(http, service, request) as upload:
            return await _transcribe(http, service, admission, request, parameters, upload)
    except _Refused as refused:
        return refused.response
    except AudioError as error:
        return refuse(request, HTTPStatus.BAD_REQUEST, f"{refusals.BAD_AUDIO} ({error})")
    except ClientDisconnect:
        return Response(status_code=499)


@asynccontextmanager
async def _upload(http: HttpRequest, service: Service, request: Request) -> AsyncIterator[_Upload]:
    """The body, in a file without a name."""
    digest, size, body, limits = sha256(), 0, http.stream(), service.session_limits
    latest = asyncio.get_running_loop().time() + limits.max_session
    with tempfile.TemporaryFile() as file:
        with suppress(StopAsyncIteration):
            while True:
                try:
                    async with asyncio.timeout_at(latest), asyncio.timeout(limits.idle_timeout):
                        piece = await anext(body)
                except TimeoutError as error:
                    message = "expected the rest of the body, found nothing for too long; send it again"
                    raise _Refused(refuse(request, HTTPStatus.REQUEST_TIMEOUT, message)) from error
                size += len(piece)
                if size > MOST_BYTES:
                    message = f"expected at most {MOST_BYTES} bytes, found more; send it in parts"
                    raise _Refused(refuse(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message))
                digest.update(piece)
                file.write(piece)
        file.flush()
        file.seek(0)
        yield _Upload(cast(BinaryIO, file), size, digest.hexdigest())


async def _transcribe(
    http: HttpRequest,
    service: Service,
    admission: Admission,
    request: Request,
    parameters: Parameters,
    upload: _Upload,
) -> Response:
    form, blocks = await asyncio.to_thread(_open, upload, parameters)
    wishes = StreamWishes(parameters.phrases, UNBROKEN, forgiving=True)
    session = service.open_session(PROTOCOL, admission, SessionSettings(form, wishes))
    feeding = asyncio.create_task(_feed(session, blocks))
    listening = asyncio.create_task(_listen(session, form.num_streams))
    leaving = asyncio.create_task(_left(http))
    try:
        await asyncio.wait([listening, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            raise ClientDisconnect
        last, words = listening.result()
    finally:
        for task in (feeding, listening, leaving):
            task.cancel()
        await asyncio.wait([feeding])
        await service.close_session(session)
    if isinstance(last, Failed):
        headers = {} if last.retry_after is None else {"Retry-After": str(max(round(last.retry_after), 1))}
        prefix = f"{refusals.BAD_AUDIO}: " if last.code == FailureCode.BAD_AUDIO else ""
        return refuse(request, refusals.status_of(last.code), prefix + last.message, headers)
    split = parameters.utt_split if parameters.utterances else None
    channels = list(zip(last.texts, words, strict=True))
    answer = make_answer(request, upload.digest, session.audio_seconds, channels, split)
    return Response(msgspec.json.encode(answer), media_type=_JSON, headers=dict(refusals.id_headers(request)))


def _open(upload: _Upload, parameters: Parameters) -> tuple[AudioFormat, Iterator[bytes]]:
    """Format and blocks of the audio: raw, as the query says, unless it is a WAV file.

    Raises:
        AudioError: it cannot be decoded.
    """
    if not upload.size:
        raise AudioError("the body is empty")
    start = upload.file.read(12)
    upload.file.seek(0)
    if parameters.form is not None and not is_wav(start):
        return parameters.form, iter(lambda: upload.file.read(_RAW_PIECE), b"")
    form = sound_format(upload.file, parameters.multichannel)
    announced = parameters.form
    if announced is not None and announced.sample_rate != form.sample_rate:
        rates = f"{announced.sample_rate} Hz, as announced, found a WAV file of {form.sample_rate} Hz"
        raise AudioError(f"expected {rates}; leave the announcement out")
    return form, sound_blocks(upload.file, form)


async def _feed(session: Session, blocks: Iterator[bytes]) -> None:
    try:
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            session.feed(block)
            await session.room()
        session.finish()
    except AudioError as error:
        session.fail(FailureCode.BAD_AUDIO, str(error))
    except Exception:
        _LOGGER.exception("an upload failed")
        session.fail(FailureCode.INTERNAL, "the audio could not be read; try again")


async def _listen(session: Session, channels: int) -> tuple[Ended | Failed, list[list[Word]]]:
    """The last event, and the words of each channel."""
    words: list[list[Word]] = [[] for _ in range(channels)]
    while True:
        match await session.take():
            case Final(channel, _, passage):
                words[channel].extend(passage.words)
            case (Ended() | Failed()) as last:
                return last, words
            case None:
                return Failed(FailureCode.INTERNAL, "the stream failed; try again"), words


async def _left(http: HttpRequest) -> None:
    """Wait for the client to leave."""
    while not await http.is_disconnected():
        await asyncio.sleep(0.5)
