"""A queue of one stream's results, to be read by a thread or an event loop."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Condition
from typing import TYPE_CHECKING

from emf.runtime.errors import ResultTimeout
from emf.runtime.recognition.result import Result

if TYPE_CHECKING:
    import asyncio


class ResultQueue:
    """Results of one stream, from one writer to its reader.

    A result replaces an unread result of the same segment. Results are cumulative, so a slow reader
    only skips outdated ones, and never misses the last result of a segment.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._unread: deque[Result] = deque()
        self._latest: Result | None = None
        self._ended = False
        self._error: Exception | None = None
        self._wakers: list[Callable[[], None]] = []

    @property
    def latest(self) -> Result | None:
        """The newest result, read or not."""
        return self._latest

    def put(self, result: Result) -> None:
        """Add a result; after the end it is dropped."""
        with self._changed:
            if self._ended:
                return
            if self._unread and self._unread[-1].segment == result.segment:
                self._unread.pop()
            self._unread.append(result)
            self._latest = result
            self._wake()

    def end(self, error: Exception | None = None) -> None:
        """End the queue; `error` is why, if not the end of the audio. Only the first call counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
                self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    def take(self, timeout: float | None = None) -> Result | None:
        """The next unread result; `None` after the last one.

        Args:
            timeout: seconds to wait; `None` sets no limit.

        Raises:
            ResultTimeout: none came in time.
            Exception: the error that ended the stream.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._unread or self._ended, timeout):
                raise ResultTimeout(f"no result came within {timeout} seconds")
            return self._next()

    async def take_async(self) -> Result | None:
        """As `take`, in an event loop."""
        import asyncio  # only here: services without it start faster

        loop = asyncio.get_running_loop()
        while True:
            woken: asyncio.Future[None] = loop.create_future()
            wake = partial(_wake_loop, loop, woken)
            with self._changed:
                if self._unread or self._ended:
                    return self._next()
                self._wakers.append(wake)
            try:
                await woken
            finally:
                with self._changed:
                    if wake in self._wakers:  # a reader that gave up
                        self._wakers.remove(wake)

    def _next(self) -> Result | None:
        if self._unread:
            return self._unread.popleft()
        if self._error is not None:
            raise self._error
        return None

    def take_unread(self) -> list[Result]:
        """All unread results."""
        with self._changed:
            unread = list(self._unread)
            self._unread.clear()
            return unread

    def wait_for_end(self, timeout: float | None = None) -> Result:
        """Wait for the end; the last result. Unread results stay unread.

        Raises:
            ResultTimeout: the stream did not end in time.
            Exception: the error that ended the stream.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._ended, timeout):
                raise ResultTimeout(f"the stream did not end within {timeout} seconds")
            if self._error is not None or self._latest is None:
                raise self._error or RuntimeError("the stream ended without a result")
            return self._latest


def _wake_loop(loop: "asyncio.AbstractEventLoop", woken: "asyncio.Future[None]") -> None:
    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    with suppress(RuntimeError):  # the loop was closed while its reader waited
        loop.call_soon_threadsafe(wake)
