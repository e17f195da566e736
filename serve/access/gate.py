"""Admission, before anything else is done for a connection."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from emf.runtime.errors import Overloaded
from emf.serve.access.credentials import key_of
from emf.serve.access.keys import Account, Keys
from emf.serve.access.passes import Passes
from emf.serve.pool.places import Place, Places

RETRY_AFTER_FULL = 2
RETRY_AFTER_DRAIN = 5
_NO_KEY = "expected an API key of this server; send it as a Bearer"


class Refusal(Exception):
    """Why a connection is refused, for an answer of HTTP.

    Attributes:
        status: of HTTP.
        code: one word for metrics and machines.
        message: one line for people.
        retry_after: seconds; `None` where another try will not help.
    """

    def __init__(self, status: HTTPStatus, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer."""
        if self.status is HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": "Bearer"}
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


@dataclass(slots=True)
class Admission:
    """An admitted connection.

    Attributes:
        account: whose key came.
        place: promises its streams.
        over_quota: the account holds its most streams already: close with 1008, or answer 429.
    """

    account: Account
    place: Place
    over_quota: bool = False


@dataclass(slots=True)
class Gate:
    """Decides who may connect.

    Attributes:
        keys: accounts.
        places: promises streams.
        count: is told the reason of every refusal.
        origins: web pages of other hosts that may connect, such as `https://example.org`; `*` is every page.
        draining: the server ends; nobody is admitted.
        passes: short-lived keys, which are as good as the key that made them.
    """

    keys: Keys
    places: Places
    count: Callable[[str], None]
    origins: frozenset[str] = field(default_factory=frozenset)
    draining: bool = False
    passes: Passes = field(default_factory=Passes, init=False)

    def check(self, connection: HTTPConnection) -> Account:
        """Check the origin and the key.

        Raises:
            Refusal: 401 or 403.
        """
        origin = connection.headers.get("origin")
        if origin is not None and not self._is_ours(origin, connection):
            raise self._refuse(
                HTTPStatus.FORBIDDEN, "origin", "this page may not connect; allow it with --allow-origin"
            )
        key = key_of(connection)
        account = self.keys.account_of(key)
        if account is None and (found := self.passes.find(key)) is not None:
            account = found.account
        if account is None:
            raise self._refuse(HTTPStatus.UNAUTHORIZED, "key", _NO_KEY)
        return account

    def check_owner(self, connection: HTTPConnection) -> Account:
        """As `check`, for what only the owner of a lasting key may do.

        Raises:
            Refusal: 401 or 403.
        """
        account = self.check(connection)
        if self.keys.account_of(key_of(connection)) is None:
            raise self._refuse(HTTPStatus.UNAUTHORIZED, "key", _NO_KEY)
        return account

    @contextmanager
    def admit(self, connection: HTTPConnection, streams: int = 1) -> Iterator[Admission]:
        """Admit a connection that wants some streams, for the time of the `with` block.

        Raises:
            Refusal: 401, 403, or 503 where the server drains or carries no more.
        """
        with self.enter(self.check(connection), streams) as admission:
            yield admission

    @contextmanager
    def enter(self, account: Account, streams: int = 1) -> Iterator[Admission]:
        """As `admit`, for a connection whose account is known: not every protocol has headers.

        Raises:
            Refusal: 503 where the server drains or carries no more.
        """
        if self.draining:
            message = "the server is about to end; connect to another"
            raise self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "draining", message, RETRY_AFTER_DRAIN)
        if account.is_full:
            self.count("quota")
            yield Admission(account, Place(self.places, 0), over_quota=True)
            return
        try:
            place = self.places.take(streams)
        except Overloaded as error:
            raise self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "full", str(error), RETRY_AFTER_FULL) from error
        account.streams += 1
        try:
            yield Admission(account, place)
        finally:
            account.streams -= 1
            place.give_back()

    def _is_ours(self, origin: str, connection: HTTPConnection) -> bool:
        if "*" in self.origins or origin.rstrip("/") in self.origins:
            return True
        return bool(origin) and urlsplit(origin).netloc == connection.headers.get("host")

    def _refuse(self, status: HTTPStatus, code: str, message: str, retry_after: int | None = None) -> Refusal:
        self.count(code)
        return Refusal(status, code, message, retry_after)
