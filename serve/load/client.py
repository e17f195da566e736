"""What a load asks of a protocol: which messages to send, and what the answers say. A client reads no socket itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np

from emf.runtime.arrays import FloatArray

Message: TypeAlias = str | bytes


class CallFailed(Exception):
    """A call ended without its whole text.

    Attributes:
        reason: one word, such as `http_500`, `closed_1011`, `timeout` or the server's own code.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class CallRefused(CallFailed):
    """The server carries no more streams, or is about to end.

    Attributes:
        retry_after: seconds after which another try makes sense.
    """

    def __init__(self, reason: str, retry_after: float = 1.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known after an answer.

    Attributes:
        text: of the whole recording so far.
        is_end: no other text follows.
    """

    text: str
    is_end: bool = False


class Client(Protocol):
    """One recording by one protocol. A client serves one connection."""

    path: ClassVar[str]
    """Where servers speak the protocol, with the query that the client needs."""
    sample_rate: ClassVar[int]
    scheme: ClassVar[str]
    """Of the Authorization header."""
    lock_step: ClassVar[bool]
    """Whether each audio message waits for the answer to the one before."""
    ends_by_close: ClassVar[bool]
    """Whether a server may close the connection in place of an end marker."""

    def begin(self) -> Sequence[Message]:
        """What to send first."""

    def audio(self, samples: FloatArray) -> Message:
        """A message with these samples."""

    def end(self) -> Sequence[Message]:
        """What to send after the last sample."""

    def hear(self, message: Message) -> Heard | None:
        """Take an answer; `None` where it says nothing about the text.

        Raises:
            CallFailed: it is an error.
        """


def pcm_s16le(samples: FloatArray) -> bytes:
    """Samples as 16-bit PCM."""
    scaled = np.rint(samples * 32768.0)
    data: bytes = np.clip(scaled, -32768, 32767).astype("<i2").tobytes()
    return data


def joined(*texts: str) -> str:
    """Texts of segments as one."""
    return " ".join(text for text in (text.strip() for text in texts) if text)
