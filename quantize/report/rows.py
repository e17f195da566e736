"""The rows of the report: a variant, a baseline, a mixture of components. Their fields' names are the JSON's keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emf.quantize.accuracy import EditTotals
from emf.runtime.artifact.variant import Variant
from emf.runtime.measure.document import INLINE
from emf.runtime.measure.figures import StreamFigures
from emf.runtime.measure.latency import Measurements

_POINTS = 200


@dataclass(frozen=True, slots=True)
class Precision:
    """Arithmetic of a variant's graphs.

    Attributes:
        asked: precision of each graph in the variant's recipe.
        read_back: arithmetic of each graph as the backend reports it.
        mismatch: graphs whose arithmetic is not what the variant asks for.
    """

    asked: Mapping[str, str]
    read_back: Mapping[str, str]
    mismatch: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """One kind of operator.

    Attributes:
        operator: the backend's name for it.
        kernel: that runs it, where the backend names it.
        weights: what it multiplies by: weights in `float32`, `float16` or `bfloat16`, or `quantized` ones; empty for
            operators without a matrix of weights.
        calls: in a step.
        microseconds: of all calls in a step.
    """

    operator: str
    kernel: str
    weights: str
    calls: float
    microseconds: float


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What was measured of a variant beside its words and times.

    Attributes:
        drift_db: signal to noise of the encoder's output against the float variant, by minute of audio.
        operators: the encoder's, the most time first.
        float32_products: which products of a quantized encoder run in float32, in words; empty if none does.
        streams_realtime: largest number of streams within the deadline; `None` if not measured.
    """

    drift_db: tuple[float, ...]
    operators: tuple[OperatorTime, ...]
    float32_products: str
    streams_realtime: int | None


@dataclass(frozen=True, slots=True)
class MemoryTraffic:
    """What one chunk of one stream reads and writes at least.

    Attributes:
        weight_bytes: by graph.
        state_bytes: the encoder's states, read and written.
        bytes_per_chunk: all of these.
        bytes_per_second_realtime: bandwidth that real time needs.
        floor_ms: least time of a chunk if the weights come from memory and not from a cache.
        fits_in: smallest cache that holds them; `None` if none does.
    """

    weight_bytes: Mapping[str, int]
    state_bytes: int
    bytes_per_chunk: int
    bytes_per_second_realtime: float
    floor_ms: float
    fits_in: str | None


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves of one variant, at most some hundred points each, milliseconds.

    Attributes:
        chunk_ms_percentiles: latency of a chunk at 0, 1, … 100 %.
        components_ms_percentiles: time in each component at 0, 1, … 100 %.
        chunk_ms_over_time: median latency of successive stretches of the audio.
    """

    chunk_ms_percentiles: tuple[float, ...]
    components_ms_percentiles: Mapping[str, tuple[float, ...]]
    chunk_ms_over_time: tuple[float, ...]

    @classmethod
    def of(cls, measurements: Measurements) -> "Curves":
        """The curves of a variant's chunks."""
        chunks = 1e3 * np.asarray(measurements.chunks)
        components = measurements.components
        names = components[0] if components else {}
        shares = np.linspace(0, 100, 101)
        pieces = np.array_split(chunks, min(_POINTS, len(chunks)))
        return cls(
            chunk_ms_percentiles=tuple(np.percentile(chunks, shares).tolist()),
            components_ms_percentiles={
                name: tuple(np.percentile([1e3 * c[name] for c in components], shares).tolist()) for name in names
            },
            chunk_ms_over_time=tuple(float(np.median(piece)) for piece in pieces),
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """Which of several artifacts a row is of.

    Attributes:
        artifact: its name on the page.
        model: what was changed of the checkpoint's model, in words.
        kept_bytes: what a stream keeps between two steps for the encoder.
        chunk_seconds: new audio of a chunk, which other segments make longer or shorter.
    """

    artifact: str
    model: str
    kept_bytes: int
    chunk_seconds: float


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One variant.

    What it is compared with is the float variant of the same backend, of the first artifact if there are several.

    Attributes:
        name: `<backend>/<name>`, after the artifact's name if there are several.
        backend: that runs it.
        precision: asked for and read back.
        bytes: size of its graphs.
        size_ratio: that size over that of what it is compared with.
        wer: word error rate.
        cer: character error rate.
        edits: word errors by kind.
        wer_delta: increase of the WER over that of what it is compared with.
        wer_delta_ci95: 95 % interval of that increase.
        token_agreement: share of the tokens that it is compared with that it gave, in order.
        blank_penalty: that was used.
        batch_invariant: a stream's result does not depend on the streams beside it.
        figures: times.
        peak_rss_bytes: greatest resident memory of its own process.
        diagnostics: drift, operators, streams in real time.
        bandwidth: memory traffic of a chunk.
        curves: for the plots.
        origin: which artifact it is of; `None` if there is only one.
    """

    name: str
    backend: str
    precision: Precision
    bytes: int
    size_ratio: float
    wer: float
    cer: float
    edits: EditTotals = field(metadata=INLINE)
    wer_delta: float
    wer_delta_ci95: tuple[float, float]
    token_agreement: float
    blank_penalty: float
    batch_invariant: bool
    figures: StreamFigures = field(metadata=INLINE)
    peak_rss_bytes: int
    diagnostics: Diagnostics = field(metadata=INLINE)
    bandwidth: MemoryTraffic
    curves: Curves
    origin: Origin | None = field(default=None, metadata=INLINE)

    @property
    def variant(self) -> Variant:
        """Which variant of its artifact it is."""
        return Variant.parse(self.name.rpartition(" ")[2])

    @property
    def is_float(self) -> bool:
        """Whether this is a float variant, which its artifact's others are compared with in drift."""
        return self.variant.is_float


def reference_of(row: VariantRow, rows: Sequence[VariantRow]) -> VariantRow:
    """What a row is compared with: the first float variant of its backend among the report's rows."""
    return next(one for one in rows if one.is_float and one.backend == row.backend)


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """One of PyTorch's ways; see `VariantRow` for the fields."""

    name: str
    wer: float
    cer: float
    edits: EditTotals = field(metadata=INLINE)
    figures: StreamFigures = field(metadata=INLINE)
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class FailedBaseline:
    """One of PyTorch's ways that did not run here, and why."""

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """Word errors of one mixture of float and quantized graphs, with the precision of each graph."""

    encoder: str
    predictor: str
    joiner: str
    wer: float
    edits: EditTotals = field(metadata=INLINE)
