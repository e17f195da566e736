"""Options of an engine: its deadline and its limits."""

import math
from dataclasses import dataclass

from emf.runtime.errors import UsageError

_MOST = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Options of an `Engine`; times in milliseconds, of audio or of the clock.

    Attributes:
        deadline_ms: from a complete chunk of audio to its result, kept for 99 of 100 chunks.
        max_streams: limit of streams at once; `None` derives it from the measured batch times.
        max_batch: limit of streams in a batch.
        max_wait_ms: longest wait of a chunk for others to share its batch.
        max_queue_ms: audio of one stream that may wait to be decoded.
        max_total_queue_ms: audio of all streams that may wait to be decoded.
        idle_timeout_ms: time without audio after which a stream is finished.
        num_workers: threads that decode, beside the backend's own threads.
        window_ms: length of the window that `EngineMetrics` calls recent.
    """

    deadline_ms: float
    max_streams: int | None
    max_batch: int
    max_wait_ms: float
    max_queue_ms: float
    max_total_queue_ms: float
    idle_timeout_ms: float
    num_workers: int
    window_ms: float

    def __post_init__(self) -> None:
        for name in ("max_streams", "max_batch", "num_workers"):
            count = getattr(self, name)
            if count is None and name == "max_streams":
                continue
            if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST:
                raise UsageError(f"expected {name} from 1 to {_MOST}, found {count!r}")
        for name in self.__dataclass_fields__:
            least = 0.0 if name == "max_wait_ms" else 1.0
            if name.endswith("_ms") and not least <= getattr(self, name) < math.inf:
                raise UsageError(f"expected {name} of at least {least:g} milliseconds, found {getattr(self, name)!r}")
