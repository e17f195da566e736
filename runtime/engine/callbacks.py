"""The thread that runs the callbacks of callers, so that a slow callback delays no decoding."""

import logging
from threading import Condition, Thread

from emf.runtime.engine.slot import Slot

_LOGGER = logging.getLogger(__name__)


class Callbacks:
    """Calls `on_result` of streams with new results. A slow callback skips outdated results."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._pending: dict[Slot, None] = {}
        self._closed = False
        self._thread = Thread(target=self._run, name="emf-callbacks", daemon=True)
        self._thread.start()

    def notify(self, slot: Slot) -> None:
        """Queue the callback of a stream that has a new result."""
        if slot.on_result:
            with self._changed:
                self._pending[slot] = None
                self._changed.notify()

    def close(self) -> None:
        """Deliver all results that came so far, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

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
        except Exception:
            _LOGGER.exception("a callback failed; its stream goes on")
