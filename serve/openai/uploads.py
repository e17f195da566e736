"""Requests to transcribe a file: a form with the file and what is wanted, read within bounds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import PurePath
from typing import BinaryIO, TypeVar

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from emf.serve.openai.errors import RequestError

_MOST_FIELDS = 200
_MOST_FIELD_BYTES = 64 * 2**10
_SILENT_SECONDS = 30.0
"""That a client may pause while it sends."""
_LONGEST_SECONDS = 600.0
"""Within which all of it must come."""
_MOST_NAME = 100
_TRUE, _FALSE = ("true", "1"), ("false", "0", "")
Value = TypeVar("Value")


class ResponseFormat(StrEnum):
    """Forms of an answer."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"


class Granularity(StrEnum):
    """What of a `verbose_json` has times."""

    WORD = "word"
    SEGMENT = "segment"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file, and how it is to be transcribed.

    Attributes:
        file: at its begin.
        name: of the file; its ending may tell its format.
        form: of the answer.
        granularities: see `Granularity`.
        stream: whether text is wanted as it comes, as server-sent events.
        keywords: that are likelier than the model thinks.
        language: as the client says.
        wants_logprobs: with the text.
    """

    file: BinaryIO
    name: str
    form: ResponseFormat
    granularities: frozenset[Granularity]
    stream: bool
    keywords: tuple[str, ...]
    language: str | None
    wants_logprobs: bool


@asynccontextmanager
async def received_upload(request: Request, most_bytes: int) -> AsyncIterator[Upload]:
    """The upload in a request, whose file is closed at the end of the block.

    Raises:
        RequestError: it is too large, comes too slowly, or makes no sense.
        ClientDisconnect: the client is gone.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    body = _Body(request, most_bytes)
    bounded = Request(request.scope, body.receive)
    try:
        form = await bounded.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD_BYTES)
    except HTTPException as error:
        raise RequestError(f"expected a form with a file ({error.detail})") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"expected a form in UTF-8 ({error})") from error
    try:
        yield _upload(form)
    finally:
        await form.close()


class _Body:
    """Counts what comes, and does not wait for ever."""

    def __init__(self, request: Request, most_bytes: int) -> None:
        self._receive, self._most, self._bytes = request.receive, most_bytes, 0
        self._end = asyncio.get_running_loop().time() + _LONGEST_SECONDS

    async def receive(self) -> Message:
        try:
            now = asyncio.get_running_loop().time()
            async with asyncio.timeout_at(min(now + _SILENT_SECONDS, self._end)):
                message = await self._receive()
        except TimeoutError as error:
            text = f"expected all of the body within {_LONGEST_SECONDS:g} seconds, without a long pause"
            raise RequestError(text, status=HTTPStatus.REQUEST_TIMEOUT) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._most:
            raise _too_large(self._most)
        return message


def _too_large(most_bytes: int) -> RequestError:
    text = f"expected at most {most_bytes / 2**20:g} MiB, found more; compress the file or send parts of it"
    return RequestError(text, "file", "content_too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def _upload(form: FormData) -> Upload:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise RequestError("expected a sound file in the field 'file' of a multipart form, found none", "file")
    _number(form, "temperature")
    return Upload(
        file.file,
        PurePath(file.filename or "audio").name[-_MOST_NAME:] or "audio",
        _one_of(form, "response_format", ResponseFormat, ResponseFormat.JSON),
        _granularities(form),
        _flag(form, "stream"),
        tuple(_list(form, "keywords")),
        _text(form, "language"),
        "logprobs" in _list(form, "include"),
    )


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) and value else None


def _list(form: FormData, name: str) -> Sequence[str]:
    """The values of an array, whose name OpenAI's clients write with brackets."""
    values = [*form.getlist(f"{name}[]"), *form.getlist(name)]
    return [value for value in values if isinstance(value, str)]


def _flag(form: FormData, name: str) -> bool:
    value = (_text(form, name) or "").lower()
    if value not in (*_TRUE, *_FALSE):
        raise RequestError(f"expected true or false, found {value!r:.60}", name, "invalid_value")
    return value in _TRUE


def _number(form: FormData, name: str) -> None:
    """Check a number between 0 and 1, which has no effect."""
    value = _text(form, name)
    try:
        if value is None or 0.0 <= float(value) <= 1.0:
            return
    except ValueError:
        pass
    raise RequestError(f"expected a number from 0 to 1, found {value!r:.60}", name, "invalid_value")


def _one_of(form: FormData, name: str, kind: Callable[[str], Value], default: Value) -> Value:
    value = _text(form, name)
    return default if value is None else _known(value, name, kind)


def _known(value: str, name: str, kind: Callable[[str], Value]) -> Value:
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(getattr(kind, "__members__", {}).values())
        raise RequestError(f"expected one of {known}, found {value!r:.60}", name, "unsupported_value") from error


def _granularities(form: FormData) -> frozenset[Granularity]:
    name = "timestamp_granularities"
    wanted = [_known(value, name, Granularity) for value in _list(form, name) if value]
    return frozenset(wanted or [Granularity.SEGMENT])
