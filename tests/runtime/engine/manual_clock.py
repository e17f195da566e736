"""A clock that stands still until a test moves it."""

from threading import Condition, Lock


class ManualClock:
    """An `emf.runtime.engine.clock.Clock`; waits end when they are notified or when time has moved."""

    def __init__(self) -> None:
        self._now = 0.0
        self._lock = Lock()
        self._conditions: set[Condition] = set()

    def now(self) -> float:
        return self._now

    def wait(self, condition: Condition, seconds: float | None) -> None:
        with self._lock:
            self._conditions.add(condition)
        condition.wait()

    def advance(self, seconds: float) -> None:
        self._now += seconds
        with self._lock:
            conditions = list(self._conditions)
        for condition in conditions:
            with condition:
                condition.notify_all()
