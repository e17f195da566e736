"""Close codes of WebSockets."""

from enum import IntEnum

from emf.serve.session.events import FailureCode


class CloseCode(IntEnum):
    """Codes of RFC 6455 and its registry."""

    DONE = 1000
    GOING_AWAY = 1001
    POLICY = 1008
    TOO_LARGE = 1009
    INTERNAL = 1011
    RESTART = 1012
    OVERLOAD = 1013


_CODES = {
    FailureCode.OVERLOADED: CloseCode.OVERLOAD,
    FailureCode.BACKLOG: CloseCode.OVERLOAD,
    FailureCode.RESTARTING: CloseCode.RESTART,
    FailureCode.INTERNAL: CloseCode.INTERNAL,
}


def close_code(failure: str) -> CloseCode:
    """The close code of a `FailureCode`; what the client did wrong is 1008."""
    return _CODES.get(failure, CloseCode.POLICY)


def reason(message: str) -> str:
    """A message as the reason of a close frame, which holds 123 bytes."""
    return message.encode("utf-8")[:120].decode("utf-8", "ignore")
