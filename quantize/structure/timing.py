"""Graphs timed in a backend."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.errors import EmfError

_SECONDS = 0.25
_FEWEST, _MOST, _PARTS = 6, 200, 3
Run = Callable[[Mapping[str, FloatArray]], object]


def open_graph(backend: str, path: Path, num_threads: int) -> Run:
    """What runs a graph file, `.onnx` or `.xml`, in a backend.

    Raises:
        EmfError: the backend does not take it.
    """
    try:
        return _OPENERS[backend](path, num_threads)
    except Exception as error:  # every backend raises types of its own
        raise EmfError(f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}") from error


def median_ms(run: Run, inputs: Mapping[str, FloatArray]) -> float:
    """Median time of a call, milliseconds, in the quietest third of the calls; the first ones are not counted.

    Raises:
        EmfError: the backend fails.
    """
    times: list[float] = []
    try:
        run(inputs)
        run(inputs)
        begin = time.perf_counter()
        while len(times) < _FEWEST or (time.perf_counter() - begin < _SECONDS and len(times) < _MOST):
            before = time.perf_counter()
            run(inputs)
            times.append(time.perf_counter() - before)
    except Exception as error:  # every backend raises types of its own
        raise EmfError(f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}") from error
    return 1e3 * float(min(np.median(part) for part in np.array_split(times, _PARTS)))


def _open_onnxruntime(path: Path, num_threads: int) -> Run:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = num_threads
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(inputs))


def _open_openvino(path: Path, num_threads: int) -> Run:
    import openvino

    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(num_threads),
    }
    core = openvino.Core()
    model, requests = core.read_model(str(path)), {}

    def run(inputs: Mapping[str, FloatArray]) -> object:
        """Shapes are fixed and compiled once, as the runtime does."""
        shapes = {name: array.shape for name, array in inputs.items()}
        key = str(shapes)
        if key not in requests:
            fixed = model.clone()
            fixed.reshape({name: list(shape) for name, shape in shapes.items()})
            requests[key] = core.compile_model(fixed, "CPU", settings).create_infer_request()
        return requests[key].infer(dict(inputs), share_inputs=True, share_outputs=True)

    return run


_OPENERS: dict[str, Callable[[Path, int], Run]] = {"onnxruntime": _open_onnxruntime, "openvino": _open_openvino}
