"""What a client of emf-serve reads from the server."""

import json
from dataclasses import dataclass
from typing import Any

from emf.runtime.errors import UsageError
from emf.runtime.recognition.result import Word
from emf.serve.reconnecting import ServerError

_PATH = "/emf/v1/stream"


@dataclass(frozen=True, slots=True)
class LiveText:
    """What a segment says so far.

    Attributes:
        segment: counted from 0 on each channel.
        channel: 0, but for separate channels.
        start: of the segment, seconds from the begin of the audio.
        end: up to where it is decoded.
        stable: text that never changes again.
        unstable: text behind it that may.
        words: of both.
        is_final: the last word on this segment.
        lag_ms: from the arrival of the audio at the server to its text.
    """

    segment: int
    channel: int
    start: float
    end: float
    stable: str
    unstable: str
    words: tuple[Word, ...]
    is_final: bool
    lag_ms: float

    @property
    def text(self) -> str:
        """Stable and unstable text."""
        return self.stable + self.unstable


def stream_url(url: str) -> str:
    """The address of the protocol at a server: `http` becomes `ws`, and the path is added where there is none."""
    scheme, found, rest = url.partition("://")
    if not found:
        scheme, rest = "ws", url
    if scheme not in ("ws", "wss", "http", "https"):
        raise UsageError(f"expected a URL such as ws://127.0.0.1:8000, found {url!r:.80}")
    host, slash, path = rest.partition("/")
    return f"{scheme.replace('http', 'ws')}://{host}{slash + path if path else _PATH}"


def read_message(received: str | bytes) -> dict[str, Any]:
    """A message of the server.

    Raises:
        ServerError: it is an error.
    """
    message: dict[str, Any] = json.loads(received)
    if message["type"] == "error":
        raise ServerError(message["code"], message["message"], message.get("retry_after"))
    return message


def live_text(message: dict[str, Any]) -> LiveText:
    """The message `result` as a value."""
    words = tuple(Word(**word) for word in message["words"])
    return LiveText(**{name: message[name] for name in _FIELDS if name != "words"}, words=words)


_FIELDS = tuple(LiveText.__dataclass_fields__)
