"""Where the captions page is served: `/`, and its files under `/captions/`. It holds no secret and needs no key."""

import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

PROTOCOL = "emf"
"""That the page speaks."""
_PAGE = Path(__file__).parent / "page"
_INDEX = "index.html"
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TYPES = {".js": "text/javascript"}


def routes() -> Sequence[BaseRoute]:
    """The routes of the page."""
    files = _read()

    async def page(_: Request) -> Response:
        return files[_INDEX]

    async def part(request: Request) -> Response:
        return files.get(request.path_params["name"]) or PlainTextResponse("not found", 404)

    return [Route("/", page), Route("/captions/{name}", part)]


def _read() -> Mapping[str, Response]:
    return {
        path.name: Response(path.read_bytes(), headers=_HEADERS, media_type=_type(path)) for path in _PAGE.iterdir()
    }


def _type(path: Path) -> str:
    return _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
