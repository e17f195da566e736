"""Graphs in OpenVINO, on its CPU plugin. The only importer of openvino."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import openvino

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


class OpenVinoSession:
    """One compiled model with a pool of infer requests, one for each thread that calls at once."""

    def __init__(self, model: openvino.CompiledModel) -> None:
        """Wrap a compiled model."""
        self._model = model
        self._requests: SimpleQueue[Any] = SimpleQueue()
        self._prepared = 0

    @property
    def precision(self) -> str:
        """Inference precision as read back from the compiled model.

        Followed by `/dq` and the group size where activations may be quantized as the graph runs.
        """
        precision = _read_back(self._model, "INFERENCE_PRECISION_HINT")
        group = _read_back(self._model, "DYNAMIC_QUANTIZATION_GROUP_SIZE")
        return precision if group == "0" else f"{precision}/dq{group}"

    def batch_size(self, num_rows: int) -> int:
        """The next of 1 to 8, 10, 12, 14, 16, 20, 24, 28, 32, 40 and so on.

        OpenVINO compiles kernels for every batch size that it has not seen, which takes several times as long
        as running them, and sets its operators up again whenever the size changes.
        """
        step = 1 << max(0, (num_rows - 1).bit_length() - 3)
        return -(-num_rows // step) * step

    def warm_up(self, num_rows: int) -> None:
        """Run ones in every size of batch up to `num_rows` that was not prepared yet."""
        for size in sorted({self.batch_size(count) for count in range(self._prepared + 1, num_rows + 1)}):
            inputs = {
                port.any_name: np.ones(
                    [size, *(axis.get_length() for axis in list(port.partial_shape)[1:])], port.element_type.to_dtype()
                )
                for port in self._model.inputs
            }
            self.run(inputs, [])
            self._prepared = size

    @contextmanager
    def _request(self) -> Iterator[Any]:
        try:
            request = self._requests.get_nowait()
        except Empty:
            request = self._model.create_infer_request()
        try:
            yield request
        finally:
            self._requests.put(request)

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        """Run the graph once; see `Session.run`."""
        with self._request() as request:
            request.infer(inputs, share_inputs=True, share_outputs=True)
            return {name: np.array(request.get_tensor(name).data) for name in outputs}


@cache
def _core() -> openvino.Core:
    return openvino.Core()


def open_graph(path: str, options: SessionOptions) -> OpenVinoSession:
    """Read and compile an OpenVINO IR file (`.xml`, with its `.bin` beside it).

    Raises:
        ArtifactError: OpenVINO refuses the file or a property.
    """
    properties = _DEFAULT_PROPERTIES | {"INFERENCE_NUM_THREADS": str(options.num_threads)} | dict(options.properties)
    try:
        model = _compile(path, properties, options.cache_dir)
    except Exception as error:
        reason = " ".join(str(error).split())[-200:]
        raise ArtifactError(f"{path}: OpenVINO cannot open this graph ({reason}); export the model again") from error
    for name, asked in options.properties.items():
        found = _read_back(model, name)
        if found != asked:
            _LOGGER.warning("%s: asked OpenVINO for %s %s, this machine gives %s", path, name, asked, found)
    return OpenVinoSession(model)


def _compile(path: str, properties: dict[str, str], cache_dir: Path | None) -> openvino.CompiledModel:
    """Compile, or take what an earlier call compiled from the cache."""
    if cache_dir is not None:
        try:
            return _core().compile_model(path, "CPU", properties | {"CACHE_DIR": str(cache_dir)})
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-200:]
            _LOGGER.warning("%s: cannot use this cache of compiled graphs (%s); going on without", cache_dir, reason)
    return _core().compile_model(path, "CPU", properties)


def _read_back(model: openvino.CompiledModel, name: str) -> str:
    """A property of a compiled model, as it is written when set."""
    value = model.get_property(name)
    return str(value.get_type_name()) if isinstance(value, openvino.Type) else str(value)
