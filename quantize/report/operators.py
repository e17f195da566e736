"""Where a graph's time goes, as the backend's own profiler tells it, and which products run in float32 all the same."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from emf.quantize.recipe import GraphRecipe
from emf.quantize.report.rows import OperatorTime
from emf.runtime.arrays import Arrays
from emf.runtime.artifact.manifest import GraphSpec, Manifest
from emf.runtime.artifact.variant import FLOAT

_FLOAT32, _QUANTIZED = "float32", "quantized"
_FLOAT_KERNELS = {"f32": _FLOAT32, "f16": "float16", "bf16": "bfloat16"}
_ONNX_FLOAT = ("MatMul", "FusedMatMul", "Gemm", "FusedGemm")
_ONNX_QUANTIZED = ("MatMulNBits", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat", "MatMulInteger")


class _Call(NamedTuple):
    """One operator of one step; see `OperatorTime`."""

    operator: str
    kernel: str
    weights: str
    microseconds: float


def profile_graph(
    manifest: Manifest, graph: GraphSpec, inputs: Sequence[Arrays], num_threads: int
) -> list[OperatorTime]:
    """Run a graph under its backend's profiler, compiled as the runtime compiles it.

    Args:
        manifest: of the artifact.
        graph: what to run.
        inputs: one mapping a step, all of one size of batch; the first step warms up and is not counted.
        num_threads: of the backend.

    Returns:
        Kinds of operators, the most time first.
    """
    path = str(manifest.path(graph.files[0]))
    profile = _profile_onnxruntime if graph.backend == "onnxruntime" else _profile_openvino
    totals: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for call in profile(path, graph, inputs, num_threads):
        totals[call.operator, call.kernel, call.weights][0] += 1
        totals[call.operator, call.kernel, call.weights][1] += call.microseconds
    count = max(len(inputs) - 1, 1)
    times = [OperatorTime(*key, calls / count, total / count) for key, (calls, total) in totals.items()]
    return sorted(times, key=lambda entry: entry.microseconds, reverse=True)


def float32_products(operators: Sequence[OperatorTime], recipe: GraphRecipe | None) -> str:
    """Which of a quantized encoder's products with weights run in float32, in words.

    Args:
        operators: the encoder's, of one step.
        recipe: how the encoder was quantized; `None` if it was not.

    Returns:
        A sentence, or nothing if there are none or the encoder is to be in float32.
    """
    products = [entry for entry in operators if entry.weights]
    floats = [entry for entry in products if entry.weights == _FLOAT32]
    if recipe is None or recipe.precision == FLOAT or not floats:
        return ""
    count, total = (round(sum(entry.calls for entry in found)) for found in (floats, products))
    step = sum(entry.microseconds for entry in operators) or 1.0
    percent = 100 * sum(entry.microseconds for entry in floats) / step
    share = f"{percent:.0f} %" if percent >= 1 else "less than 1 %"
    kernels = ", ".join(dict.fromkeys(entry.kernel or entry.operator for entry in floats))
    run = "runs" if count == 1 else "run"
    asked = ", as its recipe asks" if count <= len(recipe.float_layers) else ""
    told = f"{count} of {total} matrix products of the encoder"
    return f"{told} {run} in float32 ({kernels}), {share} of a step{asked}"


def _profile_onnxruntime(path: str, graph: GraphSpec, inputs: Sequence[Arrays], num_threads: int) -> Iterator[_Call]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = num_threads
        settings.log_severity_level = 3
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(folder) / "profile")
        for name, value in graph.properties.items():
            settings.add_session_config_entry(name, value)
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        for arrays in inputs:
            session.run(None, dict(arrays))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    begins = [event["ts"] for event in events if event["name"] == "model_run"]
    first = sorted(begins)[1] if len(begins) > 1 else 0
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time") and event["ts"] >= first:
            yield _Call(event["args"]["op_name"], "", _onnx_weights(event["args"]), float(event["dur"]))


def _onnx_weights(event: Mapping[str, Any]) -> str:
    """What the operator multiplies by. Weights are matrices, or packed and not listed; attention multiplies stacks."""
    if event["op_name"] in _ONNX_QUANTIZED:
        return _QUANTIZED
    ranks = [len(shape) for entry in event["input_type_shape"] for shape in entry.values()]
    return _FLOAT32 if event["op_name"] in _ONNX_FLOAT and not (len(ranks) > 1 and ranks[1] > 2) else ""


def _profile_openvino(path: str, graph: GraphSpec, inputs: Sequence[Arrays], num_threads: int) -> Iterator[_Call]:
    import openvino

    from emf.runtime.inference.session_openvino import compile_graph

    asked = {"PERF_COUNT": "YES", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(num_threads)}
    defaults = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    shapes = {tensor.name: tensor.shape for tensor in (*graph.inputs, *graph.outputs)}
    name, array = next(iter(inputs[0].items()))
    num_rows = array.shape[shapes[name].index(None)]
    properties = defaults | asked | dict(graph.properties)
    compiled = compile_graph(openvino.Core().read_model(path), num_rows, shapes, properties, None)
    weights = {op.get_friendly_name(): _openvino_weights(op) for op in compiled.get_runtime_model().get_ops()}
    request = compiled.create_infer_request()
    for index, arrays in enumerate(inputs):
        request.infer(dict(arrays), share_inputs=True)
        for entry in request.profiling_info:
            if (index or len(inputs) == 1) and entry.status == openvino.ProfilingInfo.Status.EXECUTED:
                microseconds = 1e6 * entry.real_time.total_seconds()
                yield _Call(entry.node_type, entry.exec_type, weights.get(entry.node_name, ""), microseconds)


def _openvino_weights(operator: Any) -> str:
    """What the operator multiplies by, as its kernel reads it: weights in float32 may become bfloat16 there."""
    about = operator.get_rt_info()
    if about["layerType"].astype(str) != "FullyConnected":
        return ""
    if not operator.get_input_element_type(1).is_real():
        return _QUANTIZED
    return _FLOAT_KERNELS.get(about["primitiveType"].astype(str).rpartition("_")[2], _FLOAT32)
