"""Errors as OpenAI sends them, over HTTP and in a realtime session."""

from http import HTTPStatus
from typing import Literal, TypeAlias

import msgspec
from starlette.responses import Response

from emf.serve.access.gate import Refusal
from emf.serve.openai.server_messages import ErrorDetails
from emf.serve.session.events import Failed, FailureCode

ErrorType: TypeAlias = Literal["invalid_request_error", "server_error", "rate_limit_error"]
_RETRYABLE = (FailureCode.RESTARTING, FailureCode.OVERLOADED, FailureCode.INTERNAL)
"""Their close code tells enough; clients take an `error` for permanent, and would not connect again."""
_CODES = {
    FailureCode.TOO_LONG: "session_expired",
    FailureCode.BACKLOG: "rate_limit_exceeded",
    FailureCode.SLOW_CLIENT: "rate_limit_exceeded",
    FailureCode.OVER_QUOTA: "rate_limit_exceeded",
    FailureCode.BAD_AUDIO: "invalid_value",
    FailureCode.BAD_REQUEST: "invalid_value",
}
_STATUSES = {
    FailureCode.RESTARTING: HTTPStatus.SERVICE_UNAVAILABLE,
    FailureCode.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    FailureCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_REFUSAL_CODES = {"key": "invalid_api_key", "full": "overloaded", "draining": "overloaded"}


class RequestError(Exception):
    """Why a request cannot be answered.

    Attributes:
        status: of HTTP.
        code: for machines.
        param: the field that is wrong.
        retry_after: seconds after which another try makes sense.
    """

    def __init__(
        self,
        message: str,
        param: str | None = None,
        code: str | None = None,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.param, self.code, self.status, self.retry_after = param, code, status, retry_after

    @property
    def details(self) -> ErrorDetails:
        """The object in the answer."""
        return ErrorDetails(_type_of(self.status), self.code, str(self), self.param)


def failure_error(failure: Failed) -> ErrorDetails | None:
    """What a realtime client is told before the connection is closed; `None` if it is to connect again."""
    if failure.code in _RETRYABLE:
        return None
    code = _CODES.get(failure.code, failure.code)
    kind: ErrorType = "rate_limit_error" if code == "rate_limit_exceeded" else "invalid_request_error"
    return ErrorDetails(kind, code, failure.message)


def request_error(failure: Failed) -> RequestError:
    """What the sender of a file is told of a session that failed."""
    status = _STATUSES.get(failure.code, HTTPStatus.BAD_REQUEST)
    param = None if failure.code in _STATUSES else "file"
    return RequestError(failure.message, param, _CODES.get(failure.code), status, failure.retry_after)


def refusal_error(refusal: Refusal) -> RequestError:
    """A refusal of the gate."""
    code = _REFUSAL_CODES.get(refusal.code, refusal.code)
    return RequestError(str(refusal), None, code, refusal.status, refusal.retry_after)


def error_response(error: RequestError) -> Response:
    """An error over HTTP."""
    headers = {} if error.retry_after is None else {"Retry-After": f"{max(round(error.retry_after), 1)}"}
    if error.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(error_body(error), error.status, headers, "application/json")


def error_body(error: RequestError) -> bytes:
    """The object of an error, in JSON."""
    details = error.details
    fields = {"message": details.message, "type": details.type, "param": details.param, "code": details.code}
    return msgspec.json.encode({"error": fields})


def _type_of(status: HTTPStatus) -> ErrorType:
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    return "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
