"""Small bodies of requests, read within bounds."""

import asyncio
from http import HTTPStatus

from starlette.requests import Request

_SECONDS = 30.0


class BodyError(Exception):
    """A body that is too large, or does not come.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, message: str, status: HTTPStatus) -> None:
        super().__init__(message)
        self.status = status


async def read_body(request: Request, most: int) -> bytes:
    """A body of at most so many bytes.

    Raises:
        BodyError: it is larger, or takes too long.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    text = f"expected a body of at most {most} bytes, found more; send less"
                    raise BodyError(text, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    except TimeoutError as error:
        text = f"expected the body within {_SECONDS:g} seconds; send it again"
        raise BodyError(text, HTTPStatus.REQUEST_TIMEOUT) from error
    return bytes(body)
