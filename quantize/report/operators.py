"""Where a graph's time goes, as the backend's own profiler tells it."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from emf.quantize.report.rows import OperatorTime
from emf.runtime.arrays import Arrays
from emf.runtime.artifact.manifest import GraphSpec, Manifest


def profile_graph(
    manifest: Manifest, graph: GraphSpec, inputs: Sequence[Arrays], num_threads: int
) -> list[OperatorTime]:
    """Run a graph under its backend's profiler.

    Args:
        manifest: of the artifact.
        graph: what to run.
        inputs: one mapping a step; the first step warms up and is not counted.
        num_threads: of the backend.

    Returns:
        Kinds of operators, the most time first.
    """
    path = str(manifest.path(graph.files[0]))
    profile = _profile_onnxruntime if graph.backend == "onnxruntime" else _profile_openvino
    totals: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for operator, kernel, microseconds in profile(path, graph.properties, inputs, num_threads):
        totals[operator, kernel][0] += 1
        totals[operator, kernel][1] += microseconds
    count = max(len(inputs) - 1, 1)
    times = [OperatorTime(*key, calls / count, total / count) for key, (calls, total) in totals.items()]
    return sorted(times, key=lambda entry: entry.microseconds, reverse=True)


def _profile_onnxruntime(
    path: str, properties: Mapping[str, str], inputs: Sequence[Arrays], num_threads: int
) -> list[tuple[str, str, float]]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = num_threads
        settings.log_severity_level = 3
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(folder) / "profile")
        for name, value in properties.items():
            settings.add_session_config_entry(name, value)
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        for arrays in inputs:
            session.run(None, dict(arrays))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    begins = [event["ts"] for event in events if event["name"] == "model_run"]
    first = sorted(begins)[1] if len(begins) > 1 else 0
    return [
        (event["args"]["op_name"], "", float(event["dur"]))
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time") and event["ts"] >= first
    ]


def _profile_openvino(
    path: str, properties: Mapping[str, str], inputs: Sequence[Arrays], num_threads: int
) -> list[tuple[str, str, float]]:
    import openvino

    asked = {"PERF_COUNT": "YES", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(num_threads)}
    defaults = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    request = openvino.Core().compile_model(path, "CPU", defaults | asked | dict(properties)).create_infer_request()
    found = []
    for index, arrays in enumerate(inputs):
        request.infer(dict(arrays), share_inputs=True)
        found += [
            (entry.node_type, entry.exec_type, 1e6 * entry.real_time.total_seconds())
            for entry in request.profiling_info
            if (index or len(inputs) == 1) and entry.status == openvino.ProfilingInfo.Status.EXECUTED
        ]
    return found
