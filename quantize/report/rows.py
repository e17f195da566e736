"""The rows of the report: a variant, a baseline, a mixture of components. Their fields' names are the JSON's keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from emf.quantize.accuracy import EditTotals
from emf.quantize.report.curves import Curves
from emf.runtime.artifact.variant import Variant
from emf.runtime.measure.document import INLINE
from emf.runtime.measure.figures import StreamFigures


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
class VariantRow:
    """One variant.

    Attributes:
        name: `<backend>/<name>`.
        backend: that runs it.
        precision: asked for and read back.
        bytes: size of its graphs.
        size_ratio: that size over the float variant's.
        wer: word error rate.
        cer: character error rate.
        edits: word errors by kind.
        wer_delta: increase of the WER over the float variant of the same backend.
        wer_delta_ci95: 95 % interval of that increase.
        token_agreement: share of the float variant's tokens that it gave, in order.
        blank_penalty: that was used.
        batch_invariant: a stream's result does not depend on the streams beside it.
        figures: times.
        peak_rss_bytes: greatest resident memory of its own process.
        diagnostics: drift, operators, streams in real time.
        bandwidth: memory traffic of a chunk.
        curves: for the plots.
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

    @property
    def is_float(self) -> bool:
        """Whether this is a float variant, which the others are compared with."""
        return Variant.parse(self.name).is_float


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
