"""When a client tries again after its connection broke, and when it gives up."""

import asyncio

from websockets.exceptions import InvalidStatus

from emf.runtime.errors import EmfError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_UNAVAILABLE = 503


class ServerError(EmfError, RuntimeError):
    """The server refused or ended the session, or cannot be reached.

    Attributes:
        code: one word: that of the server's `error`, `http_STATUS`, `lost` or `unreachable`.
        retry_after: seconds after which another try makes sense, where the server says so.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after


def explain(error: Exception) -> ServerError:
    """What kept a client from its server, in one line."""
    if isinstance(error, ServerError):
        return error
    if not isinstance(error, InvalidStatus):
        return ServerError("unreachable", f"expected a server that answers ({error}); check the address")
    status, said = error.response.status_code, (error.response.body or b"").decode("utf-8", "replace")
    retry_after = error.response.headers.get("Retry-After", "")
    message = f"expected to be let in, found status {status} ({said[:200]})"
    return ServerError(f"http_{status}", message, float(retry_after) if retry_after.isdigit() else None)


class Patience:
    """Waits longer and longer between tries, and not for ever."""

    def __init__(self, seconds: float) -> None:
        """Give up after `seconds` without success."""
        self._seconds = seconds
        self.restore()

    def restore(self) -> None:
        """A try succeeded."""
        self._pause = _FIRST_PAUSE
        self._end: float | None = None

    async def wait(self, error: Exception) -> None:
        """Wait before the next try.

        Raises:
            ServerError: the time is over, or another try would not help.
        """
        told, now = explain(error), asyncio.get_running_loop().time()
        if self._end is None:
            self._end = now + self._seconds
        pause = max(self._pause, told.retry_after or 0.0)
        self._pause = min(2.0 * self._pause, _LONGEST_PAUSE)
        hopeless = isinstance(error, InvalidStatus) and error.response.status_code < _UNAVAILABLE
        if hopeless or now + pause > self._end:
            raise told from error
        await asyncio.sleep(pause)
