"""A caller's end of a stream that an engine carries."""

import weakref
from collections.abc import AsyncIterator, Iterator
from types import TracebackType

import numpy.typing as npt

from emf.runtime.engine.dispatcher import Dispatcher
from emf.runtime.engine.slot import Slot
from emf.runtime.errors import UsageError
from emf.runtime.recognition.result import Result


class StreamHandle:
    """One stream of an `Engine`, made by `Engine.open`. Any thread may use it; results have one reader.

    Its slot is free again when its result is final, when it is closed, when an error ended it, or when the
    handle is lost. As a context manager it closes itself.
    """

    def __init__(self, dispatcher: Dispatcher, slot: Slot) -> None:
        self._dispatcher, self._slot = dispatcher, slot
        weakref.finalize(self, slot.abandon).atexit = False

    def accept_waveform(self, sample_rate: int, samples: npt.ArrayLike, *, timeout: float = 0.0) -> None:
        """Add audio; see `Stream.accept_waveform`. Never waits for decoding unless a `timeout` says so.

        Args:
            sample_rate: in Hz, the same at every call.
            samples: shape (n,) or (n, channels), float in [-1, 1], int16 or int32.
            timeout: seconds to wait for room where the queue is full.

        Raises:
            Overloaded: too much audio waits to be decoded; none of `samples` was taken.
            AudioError: unusable audio or a changed sample rate; the stream stays as it was.
            StreamClosed: the stream or the engine is closed, or no audio had come for too long.
            UsageError: the input was declared finished, or this is more than a whole queue.
        """
        self._dispatcher.feed(self._slot, sample_rate, samples, timeout)

    def input_finished(self) -> None:
        """Declare the audio complete: what remains is decoded up to its last sample."""
        self._dispatcher.finish(self._slot)

    @property
    def latest(self) -> Result | None:
        """The newest result; `None` before the first."""
        return self._slot.results.latest

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the final result, that of the last segment.

        Args:
            timeout: seconds; `None` is as long as it takes.

        Raises:
            TimeoutError: it did not come in time.
            StreamClosed: the stream was closed before.
            Exception: whatever ended the stream.
        """
        return self._slot.results.wait_for_end(timeout)

    def results(self, timeout: float | None = None) -> Iterator[Result]:
        """Results as they come, up to the final one.

        A slow reader skips results that are outdated, but sees the last one of every segment.

        Args:
            timeout: seconds to wait for each; `None` is as long as it takes.

        Raises:
            TimeoutError: none came in time.
            StreamClosed: the stream was closed.
            UsageError: the stream was opened with `on_result`.
            Exception: whatever ended the stream.
        """
        self._check_unread()
        while (result := self._slot.results.take(timeout)) is not None:
            yield result

    async def __aiter__(self) -> AsyncIterator[Result]:
        """As `results`, in an event loop."""
        self._check_unread()
        while (result := await self._slot.results.take_async()) is not None:
            yield result

    def snapshot(self) -> bytes:
        """All of the stream's state between two steps, audio that waits included: see `Stream.snapshot`.

        To move a stream, stop feeding it, take the snapshot, close it, and open the stream restored elsewhere.

        Raises:
            StreamClosed: the stream has ended.
        """
        return self._dispatcher.snapshot(self._slot)

    def close(self) -> None:
        """Give the slot back, whatever is not decoded yet."""
        self._dispatcher.release(self._slot)

    def _check_unread(self) -> None:
        if self._slot.on_result:
            raise UsageError("expected one way to get results, but this stream was opened with on_result")

    def __enter__(self) -> "StreamHandle":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
