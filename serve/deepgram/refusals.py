"""What a client is told when something is wrong: answers of HTTP, and close codes, as Deepgram words them."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse, Response

from emf.serve.access.gate import Refusal
from emf.serve.deepgram.request import Request
from emf.serve.session.events import FailureCode
from emf.serve.sockets.closing import CloseCode, close_code

_CODES = {
    HTTPStatus.BAD_REQUEST: "Bad Request",
    HTTPStatus.UNAUTHORIZED: "INVALID_AUTH",
    HTTPStatus.FORBIDDEN: "FORBIDDEN",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "PAYLOAD_TOO_LARGE",
    HTTPStatus.TOO_MANY_REQUESTS: "TOO_MANY_REQUESTS",
    HTTPStatus.SERVICE_UNAVAILABLE: "SERVICE_UNAVAILABLE",
    HTTPStatus.REQUEST_TIMEOUT: "SLOW_UPLOAD",
}
_STATUSES = {
    FailureCode.BAD_AUDIO: HTTPStatus.BAD_REQUEST,
    FailureCode.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    FailureCode.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    FailureCode.RESTARTING: HTTPStatus.SERVICE_UNAVAILABLE,
    FailureCode.TOO_LONG: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
_LIVE = {FailureCode.BAD_AUDIO: "DATA-0000", FailureCode.IDLE: "NET-0001", FailureCode.INTERNAL: "NET-0000"}
BAD_AUDIO = "Bad Request: failed to process audio: corrupt or unsupported data"


def id_headers(request: Request) -> Mapping[str, str]:
    """Headers of every answer."""
    return {"dg-request-id": request.id}


def refuse(
    request: Request, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None, code: str = ""
) -> Response:
    """An answer of HTTP in Deepgram's form."""
    body = {"err_code": code or _CODES.get(status, "INTERNAL_SERVER_ERROR"), "err_msg": message}
    line = message.encode("ascii", "replace").decode().replace("\n", " ")
    all_headers = {**id_headers(request), "dg-error": line, **(headers or {})}
    return JSONResponse({**body, "request_id": request.id}, int(status), all_headers)


def refusal_of(request: Request, refusal: Refusal) -> Response:
    """The gate's refusal in Deepgram's form."""
    message = "Invalid credentials." if refusal.status is HTTPStatus.UNAUTHORIZED else refusal.message
    return refuse(request, refusal.status, message, refusal.headers)


def status_of(code: str) -> HTTPStatus:
    """The status for a session of prerecorded audio that failed; see `FailureCode`."""
    return _STATUSES.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)


def live_close(code: str, message: str) -> tuple[CloseCode, str]:
    """Code and reason with which a live connection is closed."""
    # Deepgram closes a silent connection with 1011, and its clients expect that.
    number = CloseCode.INTERNAL if code == FailureCode.IDLE else close_code(code)
    return number, f"{_LIVE[code]} {message}" if code in _LIVE else message
