"""Where clients put their key: a header, the query, or a subprotocol, as browsers can set no header."""

from collections.abc import Sequence

from starlette.requests import HTTPConnection

_SCHEMES = ("bearer", "token")
_OPENAI_KEY = "openai-insecure-api-key."
KEY_SUBPROTOCOLS = ("token", "bearer")
"""Subprotocols that the key follows: Deepgram's `token, KEY`."""


def key_of(connection: HTTPConnection) -> str | None:
    """The key that came with a request; `None` where there is none."""
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() in _SCHEMES and credentials.strip():
        return credentials.strip()
    return connection.query_params.get("api_key") or key_of_subprotocols(subprotocols(connection))


def key_of_subprotocols(offered: Sequence[str]) -> str | None:
    """The key among the subprotocols that a browser offers."""
    for place, name in enumerate(offered):
        if name.startswith(_OPENAI_KEY):
            return name.removeprefix(_OPENAI_KEY)
        if name in KEY_SUBPROTOCOLS and place + 1 < len(offered):
            return offered[place + 1]
    return None


def subprotocols(connection: HTTPConnection) -> list[str]:
    """The subprotocols that a WebSocket's client offers."""
    offered: list[str] = connection.scope.get("subprotocols", [])
    return offered


def chosen_subprotocol(offered: Sequence[str], known: Sequence[str]) -> str | None:
    """The subprotocol to accept: browsers close a connection that accepts none of those they offered."""
    return next((name for name in offered if name in known), None)
