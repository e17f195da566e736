"""API keys: who may connect, and how many streams at once."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from emf.runtime.errors import UsageError

_SHORTEST = 16
ENVIRONMENT = "EMF_API_KEYS"


@dataclass(slots=True, eq=False)
class Account:
    """Whoever has a key.

    Attributes:
        name: for logs and metrics; the key itself never appears there.
        max_streams: at once; `None` sets no limit.
        streams: connections it holds now.
    """

    name: str
    max_streams: int | None = None
    streams: int = field(default=0, init=False)

    @property
    def is_full(self) -> bool:
        """Whether its quota is used up."""
        return self.max_streams is not None and self.streams >= self.max_streams


ANYBODY = "anonymous"


class Keys:
    """The accounts of a server by their keys. Without any, everybody may connect.

    Only digests are kept. All of them are compared, in constant time.
    """

    def __init__(self, accounts: Iterable[tuple[str, Account]] = ()) -> None:
        """Take pairs of a key and its account."""
        self._accounts = [(_digest(key), account) for key, account in accounts]
        self._anybody = Account(ANYBODY)

    def __bool__(self) -> bool:
        return bool(self._accounts)

    def account_of(self, key: str | None) -> Account | None:
        """The account of a key; `None` where it is none of ours."""
        if not self._accounts:
            return self._anybody
        found, digest = None, _digest(key or "")
        for known, account in self._accounts:
            if hmac.compare_digest(known, digest):
                found = account
        return found


def read_keys(path: Path | None, environment: str | None) -> Keys:
    """The keys of a file, or else those of the environment.

    Args:
        path: a key a line, then, behind spaces, a name and the most streams at once, both optional; # comments.
        environment: keys separated by commas.

    Raises:
        UsageError: the file is missing, or a line makes no sense.
    """
    if path is None:
        given = [part.strip() for part in (environment or "").split(",") if part.strip()]
        return _checked([(key, Account(f"key-{place}")) for place, key in enumerate(given, 1)], ENVIRONMENT)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"expected a file of API keys, found none at {path} ({error}); name another") from error
    rows = [(place, line.split("#")[0].split()) for place, line in enumerate(lines, 1)]
    accounts = [_read_row(fields, f"{path}, line {place}") for place, fields in rows if fields]
    if not accounts:
        raise UsageError(f"{path}: expected a key a line, found none; add one")
    return _checked(accounts, str(path))


def _read_row(fields: list[str], where: str) -> tuple[str, Account]:
    key, name, most = (*fields, "", "")[:3] if len(fields) <= 3 else ("", "", "")
    if not key or (most and not (most.isascii() and most.isdigit() and int(most))):
        raise UsageError(f"{where}: expected a key, a name and the most streams at once; separate them by spaces")
    return key, Account(name or where.rpartition(", ")[2].replace(" ", "-"), int(most) if most else None)


def _checked(accounts: list[tuple[str, Account]], where: str) -> Keys:
    if any(len(key) < _SHORTEST for key, _ in accounts):
        raise UsageError(f"{where}: expected keys of at least {_SHORTEST} characters; make a longer one")
    if len({key for key, _ in accounts}) < len(accounts):
        raise UsageError(f"{where}: expected every key once, found one twice; remove it")
    return Keys(accounts)


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
