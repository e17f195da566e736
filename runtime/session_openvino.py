"""Graphs in OpenVINO, on its CPU plugin. The only importer of openvino.

A graph is compiled for single sizes of batch: with an open batch axis it runs up to a fifth slower, compiles
kernels for every size that it meets, and sets up its operators again whenever the size changes.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import openvino

from emf.runtime.blocks import cut, pieces
from emf.runtime.errors import ArtifactError
from emf.runtime.session import Array, Arrays, SessionOptions

_LOGGER = logging.getLogger(__name__)

# OpenVINO may choose bf16 and dynamic activation quantization by itself on some processors:
# every variant states its own, and these are the float variant's.
_DEFAULT_PROPERTIES = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    "INFERENCE_PRECISION_HINT": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}


class _Graph:
    """A graph compiled for one size of batch, with a pool of infer requests, one for each thread that calls at once."""

    def __init__(self, model: openvino.CompiledModel) -> None:
        self.model = model
        self._requests: SimpleQueue[Any] = SimpleQueue()

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        with self._request() as request:
            request.infer(inputs, share_inputs=True, share_outputs=True)
            return {name: np.array(request.get_tensor(name).data) for name in outputs}

    @contextmanager
    def _request(self) -> Iterator[Any]:
        try:
            request = self._requests.get_nowait()
        except Empty:
            request = self.model.create_infer_request()
        try:
            yield request
        finally:
            self._requests.put(request)


class OpenVinoSession:
    """A graph compiled for few sizes of batch: the first at once, the others when they are met."""

    def __init__(self, compile_for: Callable[[int], openvino.CompiledModel], sizes: Sequence[int]) -> None:
        """Compile for the first of the `sizes`; `compile_for` compiles the graph for a number of rows."""
        self._compile_for, self._sizes = compile_for, tuple(sizes)
        self._first = _Graph(compile_for(sizes[0]))
        self._graphs = {sizes[0]: self._first}
        self._lock = Lock()

    @property
    def precision(self) -> str:
        """Inference precision as read back from the compiled model.

        Followed by `/dq` and the group size where activations may be quantized as the graph runs.
        """
        precision = self.read_back("INFERENCE_PRECISION_HINT")
        group = self.read_back("DYNAMIC_QUANTIZATION_GROUP_SIZE")
        return precision if group == "0" else f"{precision}/dq{group}"

    def read_back(self, name: str) -> str:
        """A property of the compiled graph, as it is written when set."""
        value = self._first.model.get_property(name)
        return str(value.get_type_name()) if isinstance(value, openvino.Type) else str(value)

    def blocks(self, num_rows: int) -> tuple[int, ...]:
        """Blocks of the sizes that the graph is compiled for."""
        return cut(num_rows, self._sizes)

    def warm_up(self, num_rows: int) -> None:
        """Compile for every size that batches of up to `num_rows` need, and run each once."""
        for size in {size for count in range(1, num_rows + 1) for size in self.blocks(count)}:
            graph = self._graph(size)
            shapes = {port.any_name: (list(port.shape), port.element_type.to_dtype()) for port in graph.model.inputs}
            graph.run({name: np.ones(shape, dtype) for name, (shape, dtype) in shapes.items()}, [])

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        """Run the graph, block by block; see `Session.run`."""
        num_rows = len(next(iter(inputs.values())))
        sizes = self.blocks(num_rows)
        if sizes == (num_rows,):
            return self._graph(num_rows).run(inputs, outputs)
        results = [self._graph(size).run(piece, outputs) for size, piece in pieces(inputs, sizes)]
        return {name: np.concatenate([result[name] for result in results])[:num_rows] for name in outputs}

    def _graph(self, size: int) -> _Graph:
        with self._lock:
            if size not in self._graphs:
                self._graphs[size] = _Graph(self._compile_for(size))
            return self._graphs[size]


@cache
def _core() -> openvino.Core:
    return openvino.Core()


def open_graph(path: str, options: SessionOptions) -> OpenVinoSession:
    """Read and compile an OpenVINO IR file (`.xml`, with its `.bin` beside it).

    Raises:
        ArtifactError: OpenVINO refuses the file or a property.
    """
    properties = _DEFAULT_PROPERTIES | {"INFERENCE_NUM_THREADS": str(options.num_threads)} | dict(options.properties)

    def compile_for(num_rows: int) -> openvino.CompiledModel:
        try:
            return _compile(path, num_rows, properties, options.cache_dir)
        except Exception as error:
            reason = " ".join(str(error).split())[-200:]
            raise ArtifactError(
                f"{path}: OpenVINO cannot open this graph ({reason}); export the model again"
            ) from error

    session = OpenVinoSession(compile_for, options.sizes)
    for name, asked in options.properties.items():
        found = session.read_back(name)
        if found != asked:
            _LOGGER.warning("%s: asked OpenVINO for %s %s, this machine gives %s", path, name, asked, found)
    return session


def _compile(path: str, num_rows: int, properties: dict[str, str], cache_dir: Path | None) -> openvino.CompiledModel:
    """Compile for batches of `num_rows`, or take what an earlier call compiled from the cache."""
    model = _core().read_model(path)
    model.reshape({port.any_name: [num_rows, *list(port.partial_shape)[1:]] for port in model.inputs})
    if cache_dir is not None:
        try:
            return _core().compile_model(model, "CPU", properties | {"CACHE_DIR": str(cache_dir)})
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-200:]
            _LOGGER.warning("%s: cannot use this cache of compiled graphs (%s); going on without", cache_dir, reason)
    return _core().compile_model(model, "CPU", properties)
