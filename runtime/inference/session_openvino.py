"""Graphs in OpenVINO, on its CPU plugin. The only importer of openvino.

A graph is compiled for single sizes of batch: with an open batch axis it runs up to a fifth slower, compiles
kernels for every size that it meets, and sets up its operators again whenever the size changes.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import accumulate
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock

import numpy as np
import openvino
from openvino import opset13

from emf.runtime.arrays import Array, Arrays
from emf.runtime.artifact.manifest import Shape
from emf.runtime.errors import ArtifactError
from emf.runtime.inference.batch_sizes import batch_rows, cut
from emf.runtime.inference.session import Session, SessionOptions

_LOGGER = logging.getLogger(__name__)

# OpenVINO may choose bf16 and dynamic activation quantization by itself on some processors:
# every variant states its own, and these are the float variant's.
_DEFAULT_PROPERTIES = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    "INFERENCE_PRECISION_HINT": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}

_MOST_COPIED = 2**18
"""Bytes of an input that are copied rather than bound anew."""


class _Request:
    """An infer request for one size of batch, its tensors bound once: naming them at every call takes longer.

    Small inputs are copied into memory of the request's own, large ones and those read by row are read where they lie.
    """

    def __init__(self, model: openvino.CompiledModel, batch_axes: Mapping[str, int]) -> None:
        self._request = model.create_infer_request()
        self._axes = batch_axes
        self._inputs: dict[str, Array] = {}
        self._by_row: dict[str, Array] = {}
        self._bound: dict[str, openvino.Tensor] = {}
        for port in model.inputs:
            array = np.zeros(_shape(port), port.element_type.to_dtype())
            (self._inputs if port.any_name in batch_axes else self._by_row)[port.any_name] = array
            self._bind(port.any_name, array)
        self._outputs = {port.any_name: self._request.get_tensor(port).data for port in model.outputs}

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        """Run with as many rows as the inputs have; the others hold numbers that they held before."""
        num_rows = 0
        for name, own in self._inputs.items():
            given, axis = inputs[name], self._axes[name]
            num_rows = given.shape[axis]
            if own.nbytes > _MOST_COPIED and given.shape == own.shape:
                self._bind(name, np.ascontiguousarray(given))
            else:
                batch_rows(own, axis, 0, num_rows)[...] = given
                if own.dtype.kind == "i":  # what named a row need not name one now
                    own[num_rows:] = 0
                if own.nbytes > _MOST_COPIED:
                    self._bind(name, own)
        try:
            for name in self._by_row:
                self._bind(name, inputs[name])
            self._request.infer(share_outputs=True)
        finally:
            for name, own in self._by_row.items():
                self._bind(name, own)  # the block of streams that end is freed
        return {name: batch_rows(self._outputs[name], self._axes[name], 0, num_rows).copy() for name in outputs}

    def _bind(self, name: str, array: Array) -> None:
        self._bound[name] = openvino.Tensor(array, shared_memory=True)
        self._request.set_tensor(name, self._bound[name])


class _CompiledGraph:
    """A graph compiled for one size of batch, with a pool of infer requests, one for each thread that calls at once."""

    def __init__(self, model: openvino.CompiledModel, batch_axes: Mapping[str, int]) -> None:
        self.model, self._axes = model, batch_axes
        self._requests: SimpleQueue[_Request] = SimpleQueue()

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        with self._request() as request:
            return request.run(inputs, outputs)

    @contextmanager
    def _request(self) -> Iterator[_Request]:
        try:
            request = self._requests.get_nowait()
        except Empty:
            request = _Request(self.model, self._axes)
        try:
            yield request
        finally:
            self._requests.put(request)


class OpenVinoSession:
    """A graph compiled for few sizes of batch, each when it is met."""

    def __init__(
        self,
        compile_for: Callable[[int], openvino.CompiledModel],
        sizes: Sequence[int],
        batch_axes: Mapping[str, int],
    ) -> None:
        """Take the `sizes`, ascending; `compile_for` compiles the graph for a number of rows."""
        self._compile_for, self._sizes, self._axes = compile_for, tuple(sizes), batch_axes
        self._graphs: dict[int, _CompiledGraph] = {}
        self._locks = {size: Lock() for size in sizes}

    @property
    def precision(self) -> str:
        """Inference precision as read back from the compiled model.

        Followed by `/dq` and the group size where activations may be quantized as the graph runs.
        """
        precision = self.read_back("INFERENCE_PRECISION_HINT")
        group = self.read_back("DYNAMIC_QUANTIZATION_GROUP_SIZE")
        return precision if group == "0" else f"{precision}/dq{group}"

    def read_back(self, name: str) -> str:
        """A property of the graph as compiled for the first size, as it is written when set."""
        value = self._graph(self._sizes[0]).model.get_property(name)
        return str(value.get_type_name()) if isinstance(value, openvino.Type) else str(value)

    def blocks(self, num_rows: int) -> tuple[int, ...]:
        """Blocks of the sizes that the graph is compiled for."""
        return cut(num_rows, self._sizes)

    def warm_up(self, num_rows: int) -> None:
        """Compile for every size that batches of up to `num_rows` need, and run each once."""
        for size in {size for count in range(1, num_rows + 1) for size in self.blocks(count)}:
            graph = self._graph(size)
            kinds = {port.any_name: (_shape(port), port.element_type.to_dtype()) for port in graph.model.inputs}
            graph.run({name: np.full(shape, dtype.kind == "f", dtype) for name, (shape, dtype) in kinds.items()}, [])

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        """Run the graph, block by block; see `Session.run`."""
        name, array = next(iter(inputs.items()))
        sizes = self.blocks(array.shape[self._axes[name]])
        if len(sizes) == 1:
            return self._graph(sizes[0]).run(inputs, outputs)
        ends = [*accumulate(sizes, initial=0)]
        results = [
            self._graph(size).run(self._rows(inputs, begin, begin + size), outputs)
            for begin, size in zip(ends, sizes, strict=False)
        ]
        return {name: np.concatenate([result[name] for result in results], self._axes[name]) for name in outputs}

    def _rows(self, tensors: Arrays, begin: int, end: int) -> dict[str, Array]:
        """Rows of a batch; inputs that are read by row are whole."""
        return {
            name: batch_rows(array, self._axes[name], begin, end) if name in self._axes else array
            for name, array in tensors.items()
        }

    def _graph(self, size: int) -> _CompiledGraph:
        graph = self._graphs.get(size)
        if graph is None:
            with self._locks[size]:  # one for each size: those that are ready go on meanwhile
                graph = self._graphs.get(size)
                if graph is None:
                    graph = self._graphs[size] = _CompiledGraph(self._compile_for(size), self._axes)
        return graph


def _shape(port: openvino.ConstOutput) -> list[int]:
    """The shape of a compiled graph's input, one row where it may have any number."""
    return [1 if size.is_dynamic else size.get_length() for size in port.partial_shape]


@cache
def _core() -> openvino.Core:
    return openvino.Core()


class OpenVinoGraph:
    """A model with its weights in memory, which the graphs compiled of it share as far as they can.

    Its `.bin` is not mapped into memory, as OpenVINO would do with a path: a file overwritten in place would change
    the weights of graphs that run, and a truncated one would end the process.
    """

    def __init__(self, files: Mapping[Path, bytes]) -> None:
        self._path, xml = next(iter(files.items()))
        weights = b"".join(list(files.values())[1:])
        try:
            tensor = openvino.Tensor(np.frombuffer(weights, np.uint8))  # a copy that the model owns
            self._model = _core().read_model(xml, tensor)
        except Exception as error:
            raise self._refusal(error) from error

    def open(self, options: SessionOptions) -> OpenVinoSession:
        """Open a session; see `LoadedGraph.open`."""
        session = self._session(options)
        for name, asked in options.properties.items():
            found = session.read_back(name)
            if found != asked:
                _LOGGER.warning("%s: asked OpenVINO for %s %s, this machine gives %s", self._path, name, asked, found)
        return session

    def reshaped(self, session: Session, options: SessionOptions) -> OpenVinoSession:
        """A session for other shapes, which compiles when it is first run; see `LoadedGraph.reshaped`."""
        return self._session(options)

    def _session(self, options: SessionOptions) -> OpenVinoSession:
        properties = (
            _DEFAULT_PROPERTIES | {"INFERENCE_NUM_THREADS": str(options.num_threads)} | dict(options.properties)
        )

        def compile_for(num_rows: int) -> openvino.CompiledModel:
            try:
                shapes, by_row = options.shapes, options.by_row
                return compile_graph(self._model, num_rows, shapes, properties, options.cache_dir, by_row)
            except Exception as error:
                raise self._refusal(error) from error

        return OpenVinoSession(compile_for, options.sizes, options.batch_axes)

    def _refusal(self, error: Exception) -> ArtifactError:
        reason = " ".join(str(error).split())[-200:]
        return ArtifactError(f"{self._path}: OpenVINO cannot open this graph ({reason}); export the model again")


load_graph = OpenVinoGraph


def compile_graph(
    source: openvino.Model,
    num_rows: int,
    shapes: Mapping[str, Shape],
    properties: dict[str, str],
    cache_dir: Path | None,
    by_row: frozenset[str] = frozenset(),
) -> openvino.CompiledModel:
    """Compile for batches of `num_rows`, or take what an earlier call compiled from the cache.

    Inputs that are read `by_row` may have any number of rows.

    `Model.reshape` would first rewrite every reshape before a product so that it reads the weights' shape. OpenVINO
    then sees a second reader of weights of 8 or 4 bits, and makes float32 of them when it compiles.
    """
    model = source.clone()  # shares the weights
    for parameter in model.get_parameters():
        name = parameter.output(0).any_name
        rows = -1 if name in by_row else num_rows
        shape = [rows if size is None else size for size in shapes[name]]
        parameter.set_partial_shape(openvino.PartialShape(shape))
    model.validate_nodes_and_infer_types()
    if cache_dir is not None:
        try:
            return _core().compile_model(model, "CPU", properties | {"CACHE_DIR": str(cache_dir)})
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-200:]
            _LOGGER.warning("%s: cannot use this cache of compiled graphs (%s); going on without", cache_dir, reason)
    return _core().compile_model(model, "CPU", properties)


def integer_product(rows: int, size: int, num_threads: int) -> Callable[[], object]:
    """A product of `rows` x `size` INT8 activations with `size` x `size` INT8 weights: what measures a machine runs."""
    given = opset13.parameter([rows, size], np.float32)
    low, high = (opset13.constant(np.float32(bound)) for bound in (-1.0, 127 / 128))
    activations = opset13.fake_quantize(given, low, high, low, high, 256)
    weights = opset13.convert(opset13.constant(np.ones((size, size), np.int8)), "f32")
    product = opset13.matmul(activations, opset13.multiply(weights, opset13.constant(np.float32(0.01))), False, True)
    properties = _DEFAULT_PROPERTIES | {"INFERENCE_NUM_THREADS": str(num_threads)}
    request = _core().compile_model(openvino.Model([product], [given]), "CPU", properties).create_infer_request()
    request.set_input_tensor(openvino.Tensor(np.zeros((rows, size), np.float32)))
    return lambda: request.infer(share_outputs=True)
