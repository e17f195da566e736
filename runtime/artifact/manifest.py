"""The manifest: everything the runtime knows about a model, as data.

`manifest.json` is the only contract between export, quantize and runtime. No size, blank id
or state shape comes from anywhere else.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from emf.runtime.artifact.confidence import ConfidenceCurve
from emf.runtime.artifact.variant import Variant
from emf.runtime.errors import ArtifactError

GRAPH_NAMES = ("encoder", "predictor", "joiner")
Shape: TypeAlias = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, element type and shape of a graph's input or output; the axis of size `None` is the batch."""

    name: str
    dtype: str
    shape: Shape

    @property
    def batch_axis(self) -> int:
        """Axis on which streams, or hypotheses, lie side by side; of most tensors the first."""
        return self.shape.index(None)


@dataclass(frozen=True, slots=True)
class StateSpec:
    """How an output of one step becomes an input of the next.

    `update` is `replace` (the output is the next input) or `ring` (the output holds only the
    new entries of `axis`; they overwrite the oldest ones: entry k of the stream stands at k modulo
    capacity). Attention does not depend on the order of cached frames, so a ring is as exact as a shift.

    `rows` names the input (n,) with the row of each stream in `input`, whose first axis then holds any number of
    rows, in any order; `None` if `input` holds the streams of the batch side by side.
    """

    input: str
    output: str
    update: str = "replace"
    axis: int = 0
    rows: str | None = None


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file of the artifact: path relative to its folder (POSIX), size in bytes, SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PassSpec:
    """The tensors of a graph that takes several segments of a stream in one pass instead of one.

    Attributes:
        segments: in the pass.
        inputs: the graph's inputs for so many segments.
        outputs: the graph's outputs for so many segments; a ring's may hold more entries than the ring, of which the
            last ones count.
    """

    segments: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One graph of one variant: the file a backend opens first, all its files, its tensors and states.

    `passes` is there if the graph, an encoder's, also takes several segments of a stream in one pass.
    """

    name: str
    backend: str
    precision: str
    files: tuple[FileSpec, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    passes: PassSpec | None = None

    @property
    def bytes(self) -> int:
        """Size of all files of the graph."""
        return sum(file.bytes for file in self.files)

    def over_segments(self) -> "GraphSpec | None":
        """The graph as it takes several segments in one pass; `None` if it does not."""
        if self.passes is None:
            return None
        return replace(self, inputs=self.passes.inputs, outputs=self.passes.outputs, passes=None)

    @property
    def variant(self) -> Variant:
        """The variant that it belongs to."""
        return Variant(self.backend, self.precision)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Lengths in feature frames unless said otherwise.

    A step consumes `segment_length` new frames and sees `right_context_length` more; it gives
    `frames_per_step` encoder frames, each `subsampling_factor` feature frames long.
    """

    input_dim: int
    segment_length: int
    right_context_length: int
    left_context_length: int
    max_memory_size: int
    subsampling_factor: int
    encoding_dim: int
    num_symbols: int

    @property
    def frames_per_step(self) -> int:
        """Encoder frames that one step gives."""
        return self.segment_length // self.subsampling_factor

    @property
    def step_length(self) -> int:
        """Feature frames that one step looks at: segment and right context."""
        return self.segment_length + self.right_context_length


@dataclass(frozen=True, slots=True)
class Frontend:
    """Log-mel features as torchaudio's bundle computes them, and how they are normalised.

    `default` is the mode a Recognizer takes unless asked: `windowed` or `continuous`.
    `tail_padding` is the silence in seconds that `continuous` appends at the end of the audio.
    """

    sample_rate: int
    n_fft: int
    hop_length: int
    n_mels: int
    mean: tuple[float, ...]
    invstddev: tuple[float, ...]
    default: str = "windowed"
    tail_padding: float = 0.0

    def samples(self, frames: int) -> int:
        """Samples from one feature frame to the one so many frames later."""
        return frames * self.hop_length


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens file, and the ids that never appear in text (unknown, end, padding)."""

    file: FileSpec
    blank_id: int
    hidden_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole artifact. `root` is the folder it was read from and is not stored.

    `blank_penalties` holds, by variant, what decoding subtracts from the blank's logit where
    quantization made a variant delete words; 0 where nothing is said. `confidence` calibrates the
    confidence of words; without it they have their tokens' mean probability.
    """

    geometry: Geometry
    frontend: Frontend
    vocabulary: Vocabulary
    graphs: tuple[GraphSpec, ...]
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    blank_penalties: Mapping[str, float] = field(default_factory=dict)
    confidence: ConfidenceCurve | None = None
    root: Path = Path()

    @property
    def backends(self) -> tuple[str, ...]:
        """Backends that the artifact has graphs for."""
        return tuple(dict.fromkeys(graph.backend for graph in self.graphs))

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every variant, in the order of the graphs."""
        return tuple(dict.fromkeys(graph.variant for graph in self.graphs))

    def variant(self, variant: Variant) -> dict[str, GraphSpec]:
        """The three graphs of one variant by name.

        Raises:
            ArtifactError: the artifact holds no such variant.
        """
        graphs = {graph.name: graph for graph in self.graphs if graph.variant == variant}
        if not graphs:
            raise ArtifactError(
                f"{self.root}: expected a variant {variant}, but the artifact holds "
                f"{', '.join(map(str, self.variants))}; choose one of these or make it with emf-export or emf-quantize"
            )
        return graphs

    @property
    def samples_per_step(self) -> int:
        """New audio that a step of the encoder consumes, samples at the model's rate."""
        return self.frontend.samples(self.geometry.segment_length)

    @property
    def seconds_per_step(self) -> float:
        """The same in seconds."""
        return self.samples_per_step / self.frontend.sample_rate

    @property
    def seconds_per_frame(self) -> float:
        """Stream time that an encoder frame stands for; a step may skip feature frames beyond a multiple."""
        return self.samples_per_step / (self.geometry.frames_per_step * self.frontend.sample_rate)

    @property
    def is_converted(self) -> bool:
        """Whether its model was made smaller than its checkpoint's."""
        return "conversion" in self.provenance

    def path(self, file: FileSpec) -> Path:
        """Where a file of the artifact lies."""
        return self.root / file.path

    def files(self) -> tuple[FileSpec, ...]:
        """Every file that the manifest vouches for."""
        return (self.vocabulary.file, *(file for graph in self.graphs for file in graph.files))


def fingerprint(manifest: Manifest) -> str:
    """What two artifacts must share for a stream to move between them: model, vocabulary, frontend."""
    essence = repr((manifest.provenance.get("checkpoint_sha256"), manifest.vocabulary.file.sha256))
    if isinstance(conversion := manifest.provenance.get("conversion"), Mapping):
        essence += repr(conversion.get("weights_sha256"))
    essence += repr((asdict(manifest.geometry), manifest.frontend.mean, manifest.frontend.invstddev))
    return hashlib.sha256(essence.encode()).hexdigest()
