"""Which stream ends its workers, and which only was there: a policy, without a clock.

A stream that was moved and says something new is cleared. One that has said nothing new when its next worker is lost,
too, is a suspect: it then goes where no other suspect is. If it is the only suspect there when that worker is lost,
it is to blame, more where the worker crashed than where it may have been ended from outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from emf.serve.workers.link import Loss

_ENOUGH = 2.0
_BLAME = {Loss.CRASHED: 1.0, Loss.HUNG: 0.5, Loss.KILLED: 0.5, Loss.STOPPED: 0.5}
_FIRST_STRIKE = 1.0


@dataclass(slots=True)
class Trouble:
    """What is held against one stream.

    Attributes:
        unproven: it was moved from a lost worker, and has said nothing new since.
        strikes: workers that were lost under it in a row, weighed.
    """

    unproven: bool = False
    strikes: float = 0.0

    @property
    def is_suspect(self) -> bool:
        """Whether it must be kept from other suspects."""
        return self.strikes > 0.0

    @property
    def is_guilty(self) -> bool:
        """Whether it must not go on."""
        return self.strikes >= _ENOUGH

    def clear(self) -> None:
        """The stream said something new."""
        self.unproven, self.strikes = False, 0.0


def blame(aboard: Sequence[Trouble], loss: Loss) -> None:
    """Note that a worker was lost with these streams; all are moved, but for the guilty."""
    suspects = [one for one in aboard if one.is_suspect]
    for one in aboard:
        if one.is_suspect:
            one.strikes += _BLAME[loss] if len(suspects) == 1 else 0.0
        elif one.unproven and not suspects:
            one.strikes = _FIRST_STRIKE if loss is Loss.CRASHED else _FIRST_STRIKE / 2
        one.unproven = True
