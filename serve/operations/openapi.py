"""`/openapi.json`: the document that stands beside this module, with the paths that are served."""

import re
from collections.abc import Sequence
from importlib.resources import files

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

PATH = "/openapi.json"
_CONVERTER = re.compile(r":\w+}")


class _Document(Struct, frozen=True):
    openapi: str
    info: msgspec.Raw
    tags: msgspec.Raw
    paths: dict[str, msgspec.Raw]
    components: msgspec.Raw


def routes(served: Sequence[BaseRoute]) -> Sequence[BaseRoute]:
    """`/openapi.json` for an application that also serves these routes."""
    paths = {_CONVERTER.sub("}", route.path) for route in served if isinstance(route, Route)} | {PATH}
    document = _read()
    described = {path: described for path, described in document.paths.items() if path in paths}
    body = msgspec.json.encode(msgspec.structs.replace(document, paths=described))

    async def openapi(_: Request) -> Response:
        return Response(body, media_type="application/json")

    return [Route(PATH, openapi)]


def _read() -> _Document:
    text = files("emf.serve.operations").joinpath("openapi.json").read_bytes()
    return msgspec.json.decode(text, type=_Document)
