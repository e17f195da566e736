"""Signals answered by a function for a while."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

Answer = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def answered(answer: Answer, *numbers: signal.Signals) -> Iterator[None]:
    """Let a function answer signals; not those that the caller ignores, nor outside the thread that gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, answer) for number in wanted}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


class Interruption:
    """Answers signals as Python answers Ctrl-C, and remembers it.

    Other people's packages turn the exception into errors of their own, an `ImportError` for example.

    Attributes:
        received: whether there was a signal.
    """

    def __init__(self) -> None:
        self.received = False

    def answer(self, _: int, __: FrameType | None) -> NoReturn:
        """Answer a signal."""
        self.received = True
        raise KeyboardInterrupt
