"""What keeps sessions for other servers: a folder, or Redis."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

MOST_BYTES = 2**28
"""Of a record."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write a session down, until somebody else claims it.

    Attributes:
        name: of the record; it does not give the token away.
        epoch: how often the session was claimed before.
    """

    name: str
    epoch: int = 0


def claim_of(token: str) -> Claim:
    """The claim of whoever began the session with this token."""
    return Claim(sha256(token.encode()).hexdigest())


class SessionStore(Protocol):
    """Keeps the newest record of each session. Records that nobody writes or touches for a while are forgotten.

    Every method raises `OSError` where the store cannot be reached.
    """

    async def write(self, claim: Claim, record: bytes) -> bool:
        """Replace the record. Return False where somebody else has claimed the session since: it is lost here."""

    async def take(self, token: str) -> tuple[Claim, bytes] | None:
        """Claim a session; `None` where there is none of this token, or somebody else was faster."""

    async def touch(self, claim: Claim) -> None:
        """Keep the record for longer."""

    async def forget(self, claim: Claim) -> None:
        """The session has ended."""

    async def close(self) -> None:
        """Let go of what the store needs."""
