"""Time other ways of ranking the next symbols in the INT8 joiner on ONNX Runtime, which passes over its logits often.

The joiner of the artifact is taken as it is, and with changes that leave its outputs equal:

- `softmax`: one fused softmax in place of subtracting the peak, dividing, exponentials and their sum;
- `groups`: the best symbols are looked for in the groups with the best peaks only, 256 groups of neighbours.

All take turns on one thread. The last column is what the products of matrices alone take, as ONNX Runtime's own
profiler tells: no other way of ranking can be quicker.

Example:
    python tools/try_joiners.py artifacts/base --rows 10 40 160 320
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, helper, numpy_helper

from emf.runtime.arrays import Array
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant

_OUTPUTS = ["blank_log_prob", "top_log_probs", "top_ids"]
_GROUPS, _TOP = 256, 16
_ROUNDS = 15
_RANKED = ("slice_2", "maximum", "sub_10", "div", "exp", "sum_1", "sub_15", "div_1", "exp_1", "add_52", "log", "div_2")


def _constant(model: ModelProto, name: str, value: Array) -> str:
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _insert(model: ModelProto, after: set[str], nodes: list[onnx.NodeProto]) -> None:
    """Put nodes behind all that make the tensors named."""
    at = 1 + max(place for place, node in enumerate(model.graph.node) if after & set(node.output))
    for offset, node in enumerate(nodes):
        model.graph.node.insert(at + offset, node)


def _remove(model: ModelProto, outputs: set[str]) -> None:
    kept = [node for node in model.graph.node if not outputs & set(node.output)]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def rank_by_groups(model: ModelProto) -> None:
    """Look for the best symbols only where a group's peak is among the best peaks."""
    (top,) = (node for node in model.graph.node if node.op_type == "TopK")
    logits, (values, ids) = top.input[0], top.output
    symbols = next(w.dims[0] for w in model.graph.initializer if len(w.dims) == 2 and w.dims[0] > _GROUPS)
    members = symbols // _GROUPS
    if symbols % _GROUPS:
        raise SystemExit(f"expected a multiple of {_GROUPS} symbols beside the blank, found {symbols}")
    shape = _constant(model, "by_group", np.array([-1, members, _GROUPS], np.int64))
    axis = _constant(model, "group_axis", np.array([1], np.int64))
    count = _constant(model, "group_top", np.array([_TOP], np.int64))
    offsets = _constant(model, "members", (np.arange(members) * _GROUPS).reshape(1, members, 1))
    flat = _constant(model, "flat", np.array([-1, members * _TOP], np.int64))
    _remove(model, {values})
    nodes = [
        helper.make_node("Reshape", [logits, shape], ["grouped"]),
        helper.make_node("ReduceMax", ["grouped", axis], ["peaks"], keepdims=0),
        helper.make_node("TopK", ["peaks", count], ["best_peaks", "best_groups"], sorted=0),
        helper.make_node("Unsqueeze", ["best_groups", axis], ["group_column"]),
        helper.make_node("Add", ["group_column", offsets], ["candidate_cube"]),
        helper.make_node("Reshape", ["candidate_cube", flat], ["candidates"]),
        helper.make_node("GatherElements", [logits, "candidates"], ["candidate_logits"], axis=1),
        helper.make_node("TopK", ["candidate_logits", count], [values, "places"]),
        helper.make_node("GatherElements", ["candidates", "places"], [ids], axis=1),
    ]
    _insert(model, {logits}, nodes)


def normalize_by_softmax(model: ModelProto) -> None:
    """Find the normalizer from the softmax of the best symbol."""
    (top,) = (node for node in model.graph.node if node.op_type == "TopK" and "top_ids" in node.output)
    logits, values = top.input[0], top.output[0]
    normalizer = next(node.input[0] for node in model.graph.node if "log_normalizer" in node.output)
    _remove(model, {*_RANKED, normalizer})
    one = _constant(model, "one", np.array([1.0], np.float32))
    zero_index, one_index = (_constant(model, f"index_{n}", np.array([n], np.int64)) for n in (0, 1))
    nodes = [
        helper.make_node("Div", [one, "unsqueeze"], ["inverse"]),
        helper.make_node("Mul", [logits, "inverse"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=1),
        helper.make_node("Slice", ["top_ids", zero_index, one_index, one_index], ["best_id"]),
        helper.make_node("GatherElements", ["probabilities", "best_id"], ["best_probability"], axis=1),
        helper.make_node("Log", ["best_probability"], ["best_log"]),
        helper.make_node("Slice", [values, zero_index, one_index, one_index], ["best_logit"]),
        helper.make_node("Mul", ["best_logit", "inverse"], ["best_scaled"]),
        helper.make_node("Sub", ["best_scaled", "best_log"], ["of_symbols"]),
        helper.make_node("Mul", ["linear_1", "inverse"], ["of_blank"]),
        helper.make_node("Concat", ["of_symbols", "of_blank"], ["both"], axis=1),
        helper.make_node("ReduceLogSumExp", ["both", one_index], [normalizer], keepdims=1),
    ]
    _insert(model, {"top_ids", "unsqueeze", "linear_1"}, nodes)


def do_both(model: ModelProto) -> None:
    """Make both changes."""
    normalize_by_softmax(model)
    rank_by_groups(model)


def open_session(model: ModelProto, profile: Path | None = None) -> ort.InferenceSession:
    """The graph on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def products_ms(model: ModelProto, inputs: Mapping[str, Array], folder: Path) -> float:
    """Milliseconds of a run's products of matrices."""
    session = open_session(model, folder / "joiner")
    for _ in range(_ROUNDS):
        session.run(_OUTPUTS, dict(inputs))
    trace = Path(session.end_profiling())
    events = json.loads(trace.read_text(encoding="utf-8"))
    trace.unlink()
    kinds = ("QGemm", "Gemm", "MatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat")
    spent: list[int] = [e["dur"] for e in events if e.get("args", {}).get("op_name") in kinds]
    return sum(spent) / 1e3 / _ROUNDS


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--rows", type=int, nargs="+", default=[10, 40, 160, 320])
    options = parser.parse_args()
    manifest = read_manifest(options.artifact)
    graph = manifest.variant(Variant("onnxruntime", options.precision))["joiner"]
    path = manifest.path(graph.files[0])
    changes: dict[str, Callable[[ModelProto], None]] = {
        "as it is": lambda model: None,
        "softmax": normalize_by_softmax,
        "groups": rank_by_groups,
        "both": do_both,
    }
    sessions = {}
    for name, change in changes.items():
        model = onnx.load(str(path))
        change(model)
        sessions[name] = open_session(model)
    dim = sessions["as it is"].get_inputs()[0].shape[1]
    random = np.random.default_rng(0)
    sys.stdout.write("rows  " + "  ".join(f"{name:>9}" for name in (*sessions, "products")) + "   milliseconds\n")
    for rows in options.rows:
        inputs = {name: random.standard_normal((rows, dim)).astype(np.float32) for name in ("encoding", "prediction")}
        inputs["temperature"] = np.ones(rows, np.float32)
        wanted = sessions["as it is"].run(_OUTPUTS, inputs)
        times: dict[str, list[float]] = {name: [] for name in sessions}
        for _ in range(_ROUNDS):
            for name, session in sessions.items():
                begin = time.perf_counter()
                found = session.run(_OUTPUTS, inputs)
                times[name].append(1e3 * (time.perf_counter() - begin))
                np.testing.assert_array_equal(found[2], wanted[2])
                np.testing.assert_allclose(found[1], wanted[1], atol=1e-4)
                np.testing.assert_allclose(found[0], wanted[0], atol=1e-4)
        figures = [float(np.median(values)) for values in times.values()]
        with tempfile.TemporaryDirectory() as folder:
            figures.append(products_ms(onnx.load(str(path)), inputs, Path(folder)))
        sys.stdout.write(f"{rows:4}  " + "  ".join(f"{figure:9.2f}" for figure in figures) + "\n")


if __name__ == "__main__":
    main()
