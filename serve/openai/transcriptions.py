"""`POST /v1/audio/transcriptions`."""

import asyncio
import logging
from collections.abc import Coroutine
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from emf.serve.access.gate import Admission, Refusal
from emf.serve.openai.errors import RequestError, error_response, refusal_error
from emf.serve.openai.transcript_events import HEADERS, transcript_events
from emf.serve.openai.transcript_forms import transcript_response
from emf.serve.openai.transcription import Transcript, follow, transcribing
from emf.serve.openai.uploads import Upload, received_upload
from emf.serve.service.service import Service

_LOGGER = logging.getLogger(__name__)
_MOST_UPLOADS = 32
"""At once: what comes lies on the disk."""


class Transcriptions:
    """The endpoint, an application of its own: a stream of events is sent while the session lives."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        if request.method != "POST":
            response = error_response(RequestError("expected POST", status=HTTPStatus.METHOD_NOT_ALLOWED))
            response.headers["Allow"] = "POST"
            await response(scope, receive, send)
            return
        try:
            with self._service.gate.admit(request) as admission:
                await self._admitted(request, admission, send)
        except Refusal as refusal:
            await error_response(refusal_error(refusal))(scope, receive, send)
        except RequestError as error:
            await error_response(error)(scope, receive, send)
        except ClientDisconnect:
            _LOGGER.info("a client left before its file was transcribed")

    async def _admitted(self, request: Request, admission: Admission, send: Send) -> None:
        if admission.over_quota:
            text = "expected fewer streams with this key; end one, then try again"
            raise RequestError(text, None, "rate_limit_exceeded", HTTPStatus.TOO_MANY_REQUESTS, 2.0)
        if self._uploads >= _MOST_UPLOADS:
            self._service.counters.refused("uploads")
            text = f"expected at most {_MOST_UPLOADS} files at once, found one more; send it again later"
            raise RequestError(text, None, "overloaded", HTTPStatus.SERVICE_UNAVAILABLE, 2.0)
        admission.place.give_back()  # a file that comes slowly keeps nobody from decoding
        self._uploads += 1
        try:
            await self._received(request, admission, send)
        finally:
            self._uploads -= 1

    async def _received(self, request: Request, admission: Admission, send: Send) -> None:
        async with received_upload(request, self._service.limits.max_upload) as upload:
            if upload.stream:
                await self._stream(request, admission, upload, send)
                return
            response = await _unless_left(request, self._whole(admission, upload))
            await response(request.scope, request.receive, send)

    async def _whole(self, admission: Admission, upload: Upload) -> Response:
        transcript = Transcript()
        async with transcribing(self._service, admission, upload) as session:
            async for _ in follow(session, transcript):
                pass
        return transcript_response(transcript, upload)

    async def _stream(self, request: Request, admission: Admission, upload: Upload, send: Send) -> None:
        async with transcribing(self._service, admission, upload) as session:
            events = transcript_events(session, upload)
            response = StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)
            await response(request.scope, request.receive, send)


async def _unless_left(request: Request, work: Coroutine[None, None, Response]) -> Response:
    """The outcome of work, which ends when the client leaves.

    Raises:
        ClientDisconnect: it did.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait([working, leaving])


async def _left(request: Request) -> None:
    """Wait for the client to leave; the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
