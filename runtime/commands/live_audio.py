"""Audio that comes as it is spoken: Ctrl-C ends it, and what was heard before is a result."""

import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import TypeVar

from emf.runtime.commands.signals import answered

Block = TypeVar("Block")
STANDARD_INPUT = Path("-")


def is_live(path: Path) -> bool:
    """Whether audio comes from standard input, a pipe or a device."""
    return path == STANDARD_INPUT or (path.exists() and not path.is_file() and not path.is_dir())


class LiveAudio:
    """Live audio until it ends, or until Ctrl-C or SIGTERM.

    Attributes:
        interrupted: whether a signal ended it.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._waiting = False

    def until_interrupted(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks. After the last of them signals interrupt as usual."""
        source = iter(blocks)
        with answered(self._end, signal.SIGINT, signal.SIGTERM):
            while (block := self._next(source)) is not None:
                yield block

    def _next(self, source: Iterator[Block]) -> Block | None:
        block: Block | None = None
        try:
            self._waiting = True
            if not self.interrupted:
                block = next(source, None)
            self._waiting = False
        except KeyboardInterrupt:
            self._waiting = False
        return block

    def _end(self, _: int, __: FrameType | None) -> None:
        """Break off the wait for a block; decoding is not broken off, but no further block comes."""
        self.interrupted = True
        if self._waiting:
            raise KeyboardInterrupt
