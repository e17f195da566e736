"""Options of an engine: its deadline and its limits."""

from dataclasses import dataclass

from emf.runtime.options import check_options, option

_MOST = 100_000


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Options of an `Engine`; times in milliseconds, of audio or of the clock. The help of each field explains it."""

    deadline_ms: float = option(
        160.0,
        "Decode a chunk within this time of its last sample, for 99 of 100 chunks.",
        low=1.0,
        group="engine",
    )
    max_streams: int | None = option(
        None,
        "Admit at most this many streams at once.",
        kind=int,
        low=1,
        high=_MOST,
        unset="as many as the measured batch times allow",
        group="engine",
    )
    max_batch: int = option(64, "Decode at most this many streams together.", low=1, high=_MOST, group="engine")
    max_wait_ms: float = option(
        20.0, "Let a chunk wait this long for others to share its batch.", low=0.0, group="engine"
    )
    max_queue_ms: float = option(
        10_000.0, "Let this much audio of one stream wait to be decoded.", low=1.0, group="engine"
    )
    max_total_queue_ms: float = option(
        600_000.0, "Let this much audio of all streams wait to be decoded.", low=1.0, group="engine"
    )
    idle_timeout_ms: float = option(60_000.0, "Finish a stream after this time without audio.", low=1.0, group="engine")
    num_workers: int | None = option(
        None,
        "Decode in this many threads, each with streams of its own.",
        kind=int,
        low=1,
        high=_MOST,
        unset="as many as the recognizer has threads with ONNX Runtime, one with OpenVINO",
        group="engine",
    )
    window_ms: float = option(60_000.0, "Call this much of the past recent in the metrics.", low=1.0, group="engine")

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def workers(self) -> int:
        """`num_workers`, and one where it is open."""
        return 1 if self.num_workers is None else self.num_workers
