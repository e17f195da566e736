"""Short-lived keys that the owner of a key hands out, to web pages for instance, which cannot keep a secret."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_urlsafe

from emf.serve.access.keys import Account

_MOST = 1_000
"""Of one account."""
_BYTES = 24


@dataclass(frozen=True, slots=True)
class Pass:
    """What a short-lived key stands for.

    Attributes:
        account: whose key made it: quotas are that of this key.
        expires: by the clock of `Passes`, in seconds. Connections that began before go on.
        content: what its maker put into it.
    """

    account: Account
    expires: float
    content: object


class TooManyPasses(Exception):
    """The account has as many as it may have.

    Attributes:
        seconds: until one expires.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"expected at most {_MOST} short-lived keys at once; use one again, or wait")
        self.seconds = seconds


class Passes:
    """The short-lived keys of a server. Only digests are kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._passes: dict[bytes, Pass] = {}
        self._counts: Counter[Account] = Counter()

    def __len__(self) -> int:
        return len(self._passes)

    def make(self, account: Account, seconds: float, content: object = None, prefix: str = "") -> str:
        """A new key that is good for some seconds; it begins with `prefix`.

        Raises:
            TooManyPasses: wait, then try again.
        """
        self._drop_expired()
        if self._counts[account] >= _MOST:
            first = min(one.expires for one in self._passes.values() if one.account is account)
            raise TooManyPasses(first - self._clock())
        key = prefix + token_urlsafe(_BYTES)
        self._passes[_digest(key)] = Pass(account, self._clock() + seconds, content)
        self._counts[account] += 1
        return key

    def find(self, key: str | None) -> Pass | None:
        """What a key stands for; `None` where it is none, or has expired.

        It is looked up by its digest: nobody can choose that, so the time of the look-up tells nothing of other keys.
        """
        digest = _digest(key or "")
        found = self._passes.get(digest)
        if found is None or found.expires <= self._clock():
            return None
        return found

    def _drop_expired(self) -> None:
        now = self._clock()
        for digest in [digest for digest, one in self._passes.items() if one.expires <= now]:
            self._counts[self._passes.pop(digest).account] -= 1


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
