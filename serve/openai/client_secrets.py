"""`POST /v1/realtime/client_secrets`: short-lived keys for web pages, which cannot keep a lasting one.

Source: `openai.types.realtime.ClientSecretCreateParams` and `ClientSecretCreateResponse`.
"""

import time
from http import HTTPStatus
from secrets import token_hex
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from emf.serve.access.credentials import key_of
from emf.serve.access.gate import Refusal
from emf.serve.access.passes import TooManyPasses
from emf.serve.openai.errors import RequestError, error_response, refusal_error
from emf.serve.openai.session_config import SessionConfig
from emf.serve.openai.session_messages import Session, SessionPatch
from emf.serve.service.service import Service
from emf.serve.sockets.bodies import BodyError, read_body

_PREFIX = "ek_"
_MOST_BYTES = 256 * 2**10


class ExpiresAfter(Struct, frozen=True):
    """How long the key is good; the sessions that it begins may last longer."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7_200)] = 600


class Wanted(Struct, frozen=True):
    """What a client asks for."""

    expires_after: ExpiresAfter | None = None
    session: SessionPatch | None = None


class ClientSecret(Struct, frozen=True):
    """The key, when it expires in seconds of the epoch, and the settings with which its sessions begin."""

    value: str
    expires_at: int
    session: Session


_DECODER = msgspec.json.Decoder(Wanted)


class ClientSecrets:
    """The endpoint."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def create(self, request: Request) -> Response:
        """`POST /v1/realtime/client_secrets`."""
        try:
            account = self._service.gate.check_owner(request)
            wanted = _decode(await read_body(request, _MOST_BYTES))
            lifetime = (wanted.expires_after or ExpiresAfter()).seconds
            patch = wanted.session or SessionPatch()
            key = self._service.gate.passes.make(account, lifetime, patch, _PREFIX)
        except Refusal as refusal:
            return error_response(refusal_error(refusal))
        except BodyError as error:
            return error_response(RequestError(str(error), status=error.status))
        except TooManyPasses as error:
            code, status = "rate_limit_exceeded", HTTPStatus.TOO_MANY_REQUESTS
            return error_response(RequestError(str(error), None, code, status, error.seconds))
        except RequestError as error:
            return error_response(error)
        now = int(time.time())
        session = SessionConfig(f"sess_{token_hex(10)}", int(now + self._service.session_limits.max_session))
        config = session.named(self._service.pool.facts.name).updated(patch)
        secret = ClientSecret(key, now + lifetime, config.as_session())
        return Response(msgspec.json.encode(secret), media_type="application/json")


def settings_of_key(service: Service, connection: HTTPConnection) -> SessionPatch:
    """The settings that came with the short-lived key of a connection; none where the key is another."""
    found = service.gate.passes.find(key_of(connection))
    return found.content if found is not None and isinstance(found.content, SessionPatch) else SessionPatch()


def _decode(body: bytes) -> Wanted:
    try:
        return _DECODER.decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        problem, _, place = str(error).partition(" - at `$")
        raise RequestError(f"expected a session to make a key for ({problem})", place.strip(".`") or None) from error
