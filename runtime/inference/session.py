"""A session runs one graph in one backend. It holds no state of a stream."""

import hashlib
import importlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from emf.runtime.arrays import Array, Arrays
from emf.runtime.artifact.files import read_verified
from emf.runtime.artifact.manifest import GraphSpec, Manifest, Shape, TensorSpec
from emf.runtime.errors import ArtifactError, MissingDependency, UsageError

_LOGGER = logging.getLogger(__name__)

_BACKENDS = {
    "onnxruntime": "emf.runtime.inference.session_onnxruntime",
    "openvino": "emf.runtime.inference.session_openvino",
}
BACKENDS = tuple(_BACKENDS)
PARALLEL_BACKENDS = frozenset(("onnxruntime",))
"""Backends whose session of one thread runs the calls of several threads side by side, each on its caller's thread."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a backend runs a graph.

    Attributes:
        num_threads: threads for one call.
        sizes: numbers of rows to be prepared for, ascending, for a backend that is prepared for one size at a time;
            the first is the most frequent.
        properties: properties of the backend that the variant asks for (the manifest's `properties`).
        shapes: of each input and output; `None` is the batch, or any number of rows.
        by_row: inputs with rows that are not those of the batch.
        cache_dir: where a backend that compiles may keep what it compiled of this graph; `None` keeps nothing.
    """

    num_threads: int
    sizes: tuple[int, ...]
    properties: Mapping[str, str]
    shapes: Mapping[str, Shape]
    cache_dir: Path | None = None
    by_row: frozenset[str] = frozenset()

    @property
    def batch_axes(self) -> dict[str, int]:
        """Axis of the batch of each input and output that has one."""
        return {name: shape.index(None) for name, shape in self.shapes.items() if name not in self.by_row}


class Session(Protocol):
    """One graph in one backend; safe to call from several threads at once."""

    @property
    def precision(self) -> str:
        """Arithmetic precision as the backend reports it after compilation."""

    def blocks(self, num_rows: int) -> tuple[int, ...]:
        """How `run` cuts so many rows; the last block may be larger than what is left for it."""

    def warm_up(self, num_rows: int) -> None:
        """Prepare for every size of batch up to `num_rows`, where the backend does so when it meets one."""

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        """Run the graph on any number of rows.

        Args:
            inputs: every input of the graph by name, each with its batch where the manifest says.
            outputs: names of the outputs wanted.

        Returns:
            The outputs asked for, owned by the caller.
        """


class LoadedGraph(Protocol):
    """One graph in memory, as its backend wants it: what happens to its files does not matter any more."""

    def open(self, options: SessionOptions) -> Session:
        """Open a session; any number of sessions may be opened.

        Raises:
            ArtifactError: the backend refuses the graph.
        """

    def reshaped(self, session: Session, options: SessionOptions) -> Session:
        """A session for other shapes of the inputs beside one that is open, the weights in memory once.

        Args:
            session: what `open` gave.
            options: with the other shapes. What has to be compiled for them is compiled when it is needed.
        """


class GraphLoader(Protocol):
    """What each backend's module offers as `load_graph`."""

    def __call__(self, files: Mapping[Path, bytes]) -> LoadedGraph:
        """Take a graph's files: where each lay and what it holds, in the manifest's order."""


def load_graph(manifest: Manifest, graph: GraphSpec) -> LoadedGraph:
    """Read one graph of an artifact: the very bytes that are compared with the checksums are used.

    Raises:
        UsageError: no such backend.
        MissingDependency: the backend is not installed.
        ArtifactError: a file is damaged.
    """
    load = _loader(graph.backend)
    return load({manifest.path(file): read_verified(manifest.path(file), file) for file in graph.files})


def open_session(
    manifest: Manifest,
    graph: GraphSpec,
    num_threads: int,
    cache_dir: Path | None = None,
    sizes: tuple[int, ...] = (1, 8),
    loaded: LoadedGraph | None = None,
) -> Session:
    """Open one graph of an artifact.

    Args:
        manifest: of the artifact.
        graph: one of its graphs.
        num_threads: threads for one call.
        sizes: see `SessionOptions`.
        cache_dir: where backends keep what they compiled, a folder for each graph's checksums.
        loaded: what `load_graph` gave for this graph; `None` loads it.

    Raises:
        UsageError: no such backend.
        MissingDependency: the backend is not installed.
        ArtifactError: a file is damaged, or the backend refuses it.
    """
    if loaded is None:
        loaded = load_graph(manifest, graph)
    options = session_options(graph, num_threads, cache_dir, sizes)
    session = loaded.open(options)
    _try_once(session, graph)
    _LOGGER.info("%s on %s: %s arithmetic, %d threads", graph.name, graph.backend, session.precision, num_threads)
    return session


def session_options(
    graph: GraphSpec, num_threads: int, cache_dir: Path | None, sizes: tuple[int, ...]
) -> SessionOptions:
    """How to open a graph; see `open_session`."""
    if cache_dir is not None:
        checksums = "".join(file.sha256 for file in graph.files)
        cache_dir = cache_dir / hashlib.sha256(checksums.encode("ascii")).hexdigest()
    shapes = {tensor.name: tensor.shape for tensor in (*graph.inputs, *graph.outputs)}
    by_row = frozenset(state.input for state in graph.states if state.rows)
    return SessionOptions(num_threads, sizes, graph.properties, shapes, cache_dir, by_row)


def _loader(backend: str) -> GraphLoader:
    if backend not in _BACKENDS:
        raise UsageError(f"expected a backend of {', '.join(_BACKENDS)}, found {backend!r}")
    try:
        loader: GraphLoader = importlib.import_module(_BACKENDS[backend]).load_graph
    except ModuleNotFoundError as error:
        raise MissingDependency.of(f"backend {backend!r}", error.name, backend) from error
    return loader


def _try_once(session: Session, graph: GraphSpec) -> None:
    """Run a graph on zeros and compare its tensors with the manifest."""
    inputs = {spec.name: np.zeros([size or 1 for size in spec.shape], spec.dtype) for spec in graph.inputs}
    try:
        outputs = session.run(inputs, [spec.name for spec in graph.outputs])
        for spec in graph.outputs:
            check(outputs[spec.name], spec)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(
            f"{graph.variant}: the {graph.name} does not fit the manifest ({reason}); export the model again"
        ) from error


def check(array: Array, spec: TensorSpec) -> None:
    """Compare an array with a graph's tensor.

    Raises:
        UsageError: element type or shape differ; the batch may have any size.
    """
    fits = len(array.shape) == len(spec.shape) and all(
        size is None or size == found for size, found in zip(spec.shape, array.shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(spec.dtype):
        raise UsageError(
            f"{spec.name}: expected {spec.dtype} of shape {spec.shape}, found {array.dtype} of shape {array.shape}"
        )
