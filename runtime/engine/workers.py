"""The threads of an engine: workers that decode batches, and one that calls callers back.

They hold no reference to the `Engine`, so that they end when it is dropped without `close`.
"""

import atexit
import logging
import time
from threading import Condition, Lock, Thread
from weakref import WeakSet

from emf.runtime.engine.batch_outcome import BatchOutcome
from emf.runtime.engine.clock import Clock
from emf.runtime.engine.scheduler import Scheduler
from emf.runtime.engine.slot import Slot
from emf.runtime.errors import StreamClosed
from emf.runtime.inference.home_process import HomeProcess
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.recognition.result import Result
from emf.runtime.recognition.stream import Stream

_LOGGER = logging.getLogger(__name__)
_EXIT_SECONDS = 10.0
"""How long the end of the process waits for batches that are being decoded."""


class Workers:
    """Decode what a scheduler hands out until it has no more. They belong to the process that started them."""

    def __init__(self, recognizer: Recognizer, scheduler: Scheduler, clock: Clock, count: int) -> None:
        """Start `count` threads. Several decode apart, one with all threads of the recognizer."""
        self.home, self._apart = HomeProcess(), count > 1
        self._recognizer, self._scheduler, self._clock = recognizer, scheduler, clock
        self._callbacks = _Callbacks()
        self._lock, self._running = Lock(), count
        self._threads = [Thread(target=self._work, name=f"emf-worker-{n}", daemon=True) for n in range(count)]
        _started.add(self)
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for the threads to end, which they do when the scheduler has nothing more for them."""
        for thread in (*self._threads, self._callbacks.thread):
            thread.join()

    def stop(self, error: Exception) -> None:
        """Hand out no more batches: streams end with an error, callbacks that have begun go on."""
        self._scheduler.fail(error)

    def join_until(self, end: float) -> None:
        """Wait until the decoding threads have ended, at the longest to a moment of `time.monotonic`."""
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        try:
            while (batch := self._scheduler.schedule()) is not None:
                self._serve(batch)
        except BaseException as error:  # also SystemExit and its like: nobody else would hear of them
            _LOGGER.exception("the engine broke down")
            self._scheduler.fail(_for_callers(error))
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._callbacks.close()

    def _serve(self, batch: list[Slot]) -> None:
        begin = self._clock.now()
        ended: list[tuple[Slot, Result]] = []
        failed: list[tuple[Slot, Exception]] = []
        for slot, result in self._decode(batch):
            if isinstance(result, Exception):
                failed.append((slot, result))
            elif result.is_final:
                ended.append((slot, result))
            else:
                slot.results.put(result)
                self._callbacks.notify(slot)
        outcome = BatchOutcome(batch, begin, [slot for slot, _ in ended], [slot for slot, _ in failed])
        self._scheduler.complete(outcome)
        # Only now: a caller that sees the end may rely on the slot being free.
        for slot, result in ended:
            slot.results.put(result)
            slot.results.end()
            self._callbacks.notify(slot)
        for slot, error in failed:
            slot.results.end(error)

    def _decode(self, batch: list[Slot]) -> list[tuple[Slot, Result | Exception]]:
        """Decode a batch. If that fails, decode each stream alone, so that only the faulty one ends."""
        try:
            self._recognizer.decode_streams([slot.stream for slot in batch], self._apart)
        except BaseException as error:
            if len(batch) == 1:
                _LOGGER.exception("a stream failed")
                return [(batch[0], _for_callers(error))]
            return [pair for slot in batch for pair in self._decode([slot])]
        return [(slot, self._get_result(slot.stream)) for slot in batch]

    def _get_result(self, stream: Stream) -> Result | Exception:
        try:
            result = self._recognizer.get_result(stream)
            if not result.is_final and self._recognizer.is_endpoint(stream):
                result = self._recognizer.reset(stream)
        except BaseException as error:
            _LOGGER.exception("a stream failed")
            return _for_callers(error)
        return result


def _for_callers(error: BaseException) -> Exception:
    """The error itself, or one that a caller can catch in place of what would end the caller's thread."""
    if isinstance(error, Exception):
        return error
    closed = StreamClosed(f"decoding ended with {type(error).__name__} ({error}); open another stream")
    closed.__cause__ = error
    return closed


class _Callbacks:
    """Calls `on_result` of streams with new results, in a thread of its own, so that a slow one delays no decoding.

    A slow callback skips outdated results.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._pending: dict[Slot, None] = {}
        self._closed = False
        self.thread = Thread(target=self._run, name="emf-callbacks", daemon=True)
        self.thread.start()

    def notify(self, slot: Slot) -> None:
        """Queue the callback of a stream that has a new result."""
        if slot.on_result:
            with self._changed:
                self._pending[slot] = None
                self._changed.notify()

    def close(self) -> None:
        """Deliver all results that came so far, then stop. Does not wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closed)
                if not self._pending:
                    return
                slot = next(iter(self._pending))
                del self._pending[slot]
            _call(slot)


def _call(slot: Slot) -> None:
    for result in slot.results.take_unread():
        try:
            if slot.on_result:
                slot.on_result(result)
        except BaseException:
            _LOGGER.exception("a callback failed; its stream goes on")


_started: "WeakSet[Workers]" = WeakSet()


@atexit.register
def _stop_all() -> None:
    """End all decoding before the interpreter does: a thread within a backend would abort the process."""
    workers = [some for some in _started if some.home.is_here]
    for some in workers:
        some.stop(StreamClosed("the process ends, and its engines with it; close them before"))
    end = time.monotonic() + _EXIT_SECONDS
    for some in workers:
        some.join_until(end)
