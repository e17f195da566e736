"""What emf-bench reports: the values behind its text, its `--json` and its plots."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from emf.runtime.measure.document import INLINE
from emf.runtime.measure.figures import StreamFigures
from emf.runtime.measure.floor import ChunkWork, Floor, MachineRates
from emf.runtime.measure.latency import Measurements
from emf.runtime.measure.machine import Machine
from emf.runtime.measure.paced_load import LoadFigures


@dataclass(frozen=True, slots=True)
class Floored:
    """A chunk's time beside the least that this machine allows.

    Attributes:
        floor_ms: the longer of `floor`'s two times.
        times_floor: the chunk's time over that.
        floor: what memory and arithmetic take at least.
    """

    floor_ms: float
    times_floor: float
    floor: Floor

    @classmethod
    def of(cls, milliseconds: float, floor: Floor) -> "Floored":
        """Compare a chunk's time."""
        return cls(floor.floor_ms, milliseconds / floor.floor_ms, floor)


@dataclass(frozen=True, slots=True)
class Limits:
    """What floors are made of: the work of a chunk, and the machine's rates, measured in the same run."""

    chunk_work: ChunkWork
    machine_rates: MachineRates

    def floor(self, streams: int = 1) -> Floor:
        """The least time of a chunk and stream where so many streams share the weights."""
        return self.chunk_work.floor(self.machine_rates, streams)


@dataclass(frozen=True, slots=True)
class FlooredLoad:
    """One number of real-time streams.

    Attributes:
        figures: of the load.
        floored: its `stream_ms` beside the floor, every batch holding all streams.
    """

    figures: LoadFigures = field(metadata=INLINE)
    floored: Floored = field(metadata=INLINE)

    @classmethod
    def of(cls, figures: LoadFigures, limits: Limits) -> "FlooredLoad":
        """Compare a load."""
        return cls(figures, Floored.of(figures.stream_ms, limits.floor(figures.streams)))


@dataclass(frozen=True, slots=True)
class FixedLoad:
    """A number of real-time streams that the user gave.

    Attributes:
        deadline_ms: greatest p99 latency of a chunk.
        loads: the one load.
    """

    deadline_ms: float
    loads: tuple[FlooredLoad, ...]


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
    loads: tuple[FlooredLoad, ...]


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
        floored: its `chunk_ms` at p50 beside the floor.
        limits: what the floors are made of.
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
    floored: Floored = field(metadata=INLINE)
    limits: Limits = field(metadata=INLINE)
    load_s: float
    peak_rss_bytes: int
    load: FixedLoad | Capacity | None = field(metadata=INLINE)
    comparison: Comparison | None = field(metadata=INLINE)
    stolen_share: float | None
