"""What came of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from emf.runtime.engine.slot import Slot


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """A decoded batch, for `Scheduler.complete`.

    Attributes:
        batch: the streams, as `Scheduler.schedule` returned them.
        begin: when decoding began, seconds.
        ended: those decoded to their end.
        failed: those that cannot go on.
    """

    batch: Sequence[Slot]
    begin: float
    ended: Sequence[Slot] = ()
    failed: Sequence[Slot] = ()
