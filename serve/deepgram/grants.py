"""`POST /v1/auth/grant`: short-lived keys, as Deepgram's clients ask for them.

Source: `GrantV1Response` of the package deepgram-sdk, 7.17.
"""

from http import HTTPStatus
from typing import Annotated

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from emf.serve.access.gate import Refusal
from emf.serve.access.passes import TooManyPasses
from emf.serve.deepgram.refusals import id_headers, refusal_of, refuse
from emf.serve.deepgram.request import Request
from emf.serve.service.service import Service
from emf.serve.sockets.bodies import BodyError, read_body
from emf.serve.sockets.json_messages import decode_json

PATH = "/v1/auth/grant"
_MOST_BYTES = 4_096


class Wanted(msgspec.Struct, frozen=True):
    """How many seconds the key is good; connections that it begins may last longer."""

    ttl_seconds: Annotated[float, msgspec.Meta(ge=1, le=3_600)] = 30.0


class Grant(msgspec.Struct, frozen=True):
    """The key, and how many seconds it is good."""

    access_token: str
    expires_in: float


_DECODER = msgspec.json.Decoder(Wanted)


async def grant(http: HttpRequest, service: Service) -> Response:
    """Answer a request."""
    request = Request(service.pool.facts)
    try:
        account = service.gate.check_owner(http)
        wanted = decode_json(_DECODER, await read_body(http, _MOST_BYTES) or b"{}")
        key = service.gate.passes.make(account, wanted.ttl_seconds)
    except Refusal as refusal:
        return refusal_of(request, refusal)
    except BodyError as error:
        return refuse(request, error.status, str(error))
    except msgspec.MsgspecError as error:
        return refuse(request, HTTPStatus.BAD_REQUEST, f"Bad Request: expected ttl_seconds ({error})")
    except TooManyPasses as error:
        headers = {"Retry-After": f"{max(round(error.seconds), 1)}"}
        return refuse(request, HTTPStatus.TOO_MANY_REQUESTS, str(error), headers)
    body = msgspec.json.encode(Grant(key, wanted.ttl_seconds))
    return Response(body, media_type="application/json", headers=dict(id_headers(request)))
