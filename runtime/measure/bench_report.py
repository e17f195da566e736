"""What emf-bench reports: the values behind its text, its `--json` and its plots."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from emf.runtime.measure.document import INLINE
from emf.runtime.measure.figures import StreamFigures
from emf.runtime.measure.latency import Measurements
from emf.runtime.measure.machine import Machine
from emf.runtime.measure.paced_load import LoadFigures


@dataclass(frozen=True, slots=True)
class FixedLoad:
    """A number of real-time streams that the user gave.

    Attributes:
        deadline_ms: greatest p99 latency of a chunk.
        loads: the one load.
    """

    deadline_ms: float
    loads: tuple[LoadFigures, ...]


@dataclass(frozen=True, slots=True)
class Capacity:
    """The search for the largest number of real-time streams.

    Attributes:
        deadline_ms: greatest p99 latency of a chunk.
        streams_realtime: the largest number within the deadline.
        loads: every load tried.
    """

    deadline_ms: float
    streams_realtime: int
    loads: tuple[LoadFigures, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A baseline on the same audio in the same run.

    Attributes:
        figures: the baseline's, under its name.
        speedup: its median chunk latency over ours.
        tokens_equal: it gave the same tokens for every recording.
    """

    figures: Mapping[str, StreamFigures] = field(metadata=INLINE)
    speedup: float
    tokens_equal: bool

    @classmethod
    def of(cls, name: str, ours: Measurements, theirs: Measurements) -> "Comparison":
        """Compare what was measured with the baseline of this name."""
        figures = theirs.figures()
        speedup = figures.chunk_ms.p50 / ours.figures().chunk_ms.p50
        return cls({name: figures}, speedup, ours.tokens == theirs.tokens)


@dataclass(frozen=True, slots=True)
class BenchReport:
    """One run of emf-bench.

    Attributes:
        machine: where it ran.
        variant: `<backend>/<name>`.
        precision: arithmetic of each graph as read back from the backend.
        decoding_method: see `Recognizer.load`.
        beam_width: hypotheses kept.
        beam_threshold: see `Recognizer.load`; `None` if no hypothesis is dropped for its score.
        num_threads: of the backend.
        figures: of one stream.
        load_s: seconds to load the recognizer.
        peak_rss_bytes: greatest resident memory.
        load: real-time streams, if any were asked for.
        comparison: with a baseline, if one was asked for.
        stolen_share: see `StolenTime`.
    """

    machine: Machine
    variant: str
    precision: Mapping[str, str]
    decoding_method: str
    beam_width: int
    beam_threshold: float | None
    num_threads: int
    figures: StreamFigures = field(metadata=INLINE)
    load_s: float
    peak_rss_bytes: int
    load: FixedLoad | Capacity | None = field(metadata=INLINE)
    comparison: Comparison | None = field(metadata=INLINE)
    stolen_share: float | None
