"""A caller's access to a stream in an engine."""

import math
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from numbers import Real
from types import NoneType, TracebackType

import numpy.typing as npt

from emf.runtime.audio.samples import check_sample_rate, to_mono_float
from emf.runtime.engine.scheduler import Scheduler
from emf.runtime.engine.slot import Slot
from emf.runtime.errors import UsageError, require
from emf.runtime.inference.home_process import HomeProcess
from emf.runtime.recognition.result import Result


class StreamHandle:
    """One stream of an `Engine`, made by `Engine.open`. Any thread may use it; only one may read the results.

    The stream's slot becomes free with the final result, an error, `close`, or the loss of the handle. The end
    of a `with` block closes the handle. A process forked from the engine's cannot use it.
    """

    def __init__(self, scheduler: Scheduler, slot: Slot, engine: object = None) -> None:
        """Give access to a `slot`; the `engine` lives as long as the handle."""
        self._scheduler, self._slot, self._engine = scheduler, slot, engine
        self._home = HomeProcess()
        weakref.finalize(self, slot.abandon).atexit = False

    def accept_waveform(self, sample_rate: int, samples: npt.ArrayLike, *, timeout: float = 0.0) -> None:
        """Add audio; see `Stream.accept_waveform`. Waits for decoding only if given a `timeout`.

        Args:
            sample_rate: in Hz, the same at every call.
            samples: shape (n,) or (n, channels), float in [-1, 1], int16 or int32.
            timeout: seconds to wait for room if the queue is full.

        Raises:
            Overloaded: too much audio waits to be decoded; none of `samples` was taken.
            AudioError: unusable audio or a changed sample rate; the stream stays as it was.
            StreamClosed: the stream or the engine is closed, or no audio came for too long.
            UsageError: the input was declared finished, or `samples` are longer than a whole queue.
        """
        self._check_process()
        rate, mono = check_sample_rate(sample_rate), to_mono_float(samples)
        self._scheduler.feed(self._slot, rate, mono, _checked(timeout) or 0.0)

    def input_finished(self) -> None:
        """Declare the audio complete. The engine decodes what is left, up to the last sample."""
        self._check_process()
        self._scheduler.finish(self._slot)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to decode before more audio comes, and all results up to here can be read."""
        return self._scheduler.is_idle(self._slot)

    @property
    def missing(self) -> float:
        """Seconds of audio that must come at least before more can be decoded than what is there."""
        return self._slot.missing

    @property
    def latest(self) -> Result | None:
        """The newest result; `None` before the first."""
        return self._slot.results.latest

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the final result, that of the last segment.

        Args:
            timeout: seconds; `None` sets no limit.

        Raises:
            ResultTimeout: it did not come in time.
            StreamClosed: the stream was closed before.
            Exception: the error that ended the stream.
        """
        self._check_process()
        return self._slot.results.wait_for_end(_checked(timeout))

    def results(self, timeout: float | None = None) -> Iterator[Result]:
        """Results as they come, up to the final one.

        A slow reader skips outdated results, but gets the last result of every segment.

        Args:
            timeout: seconds to wait for each; `None` sets no limit.

        Raises:
            ResultTimeout: none came in time.
            StreamClosed: the stream was closed.
            UsageError: the stream was opened with `on_result`.
            Exception: the error that ended the stream.
        """
        self._check_unread()
        limit = _checked(timeout)
        while (result := self._slot.results.take(limit)) is not None:
            yield result

    async def __aiter__(self) -> AsyncIterator[Result]:
        """As `results`, in an event loop."""
        self._check_unread()
        while (result := await self._slot.results.take_async()) is not None:
            yield result

    def snapshot(self) -> bytes:
        """All of the stream's state between two steps, with the audio that waits: see `Stream.snapshot`.

        To move a stream: stop feeding it, take the snapshot, close the handle, open the restored stream elsewhere.

        Raises:
            StreamClosed: the stream has ended.
        """
        self._check_process()
        return self._scheduler.snapshot(self._slot)

    def close(self) -> None:
        """Give the slot back. Audio that waits is not decoded any more."""
        if self._home.is_here:
            self._scheduler.release(self._slot)

    def _check_process(self) -> None:
        self._home.check("a stream of an engine")

    def _check_unread(self) -> None:
        self._check_process()
        if self._slot.on_result:
            raise UsageError("expected one way to get results, but this stream was opened with on_result")

    def __enter__(self) -> "StreamHandle":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _checked(timeout: float | None) -> float | None:
    """A caller's timeout in seconds, no longer than a lock can wait."""
    require(timeout, (Real, NoneType), "a timeout in seconds")
    if timeout is None:
        return None
    if math.isnan(timeout):
        raise UsageError("expected a timeout in seconds, found NaN")
    return min(float(timeout), threading.TIMEOUT_MAX)
