"""Write a graph as ONNX."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch.export import Dim

from emf.export.graphs.graphs import Graph
from emf.runtime.telemetry import quiet

DEFAULT_OPSET = 20
MIN_OPSET = 18


def write_onnx(graph: Graph, path: Path, metadata: Mapping[str, str], opset: int = DEFAULT_OPSET) -> list[Path]:
    """Export `graph` to one self-contained file.

    Args:
        graph: what to export.
        path: the `.onnx` file to write.
        metadata: stored as `metadata_props`.
        opset: version of ONNX's operators.

    Returns:
        The files written.
    """
    examples = graph.wide_inputs or graph.inputs
    with quiet("torch.onnx"):
        program = torch.onnx.export(
            graph.module,
            tuple(examples.values()),
            dynamo=True,
            input_names=list(graph.inputs),
            output_names=list(graph.output_names),
            dynamic_shapes=_as_arguments(graph, _open_axes(graph)),
            opset_version=opset,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    # The exporter's notes on inner tensors contradict the predictor's graph; ONNX Runtime's quantizer believes them.
    del proto.graph.value_info[:]
    # Stack traces of the exporting machine.
    for node in proto.graph.node:
        del node.metadata_props[:]
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, str(path))
    return [path]


def _open_axes(graph: Graph) -> dict[str, dict[int, Any]]:
    """The axes of each input that may have any size.

    That are the batch, the rows of rings, and the axis of several segments, in multiples of one's length.
    """
    batch, segments, rows = Dim("batch"), Dim("segments"), Dim("rows")
    by_row = {state.input for state in graph.states if state.rows}
    axes: dict[str, dict[int, Any]] = {}
    for name, tensor in graph.inputs.items():
        wide = graph.wide_inputs.get(name, tensor)
        lengths = enumerate(zip(tensor.shape, wide.shape, strict=True))
        axes[name] = {axis: size * segments for axis, (size, longer) in lengths if longer != size}
        axes[name][graph.batch_axis(name)] = rows if name in by_row else batch
    return axes


def _as_arguments(graph: Graph, dynamic: Mapping[str, dict[int, Any]]) -> tuple[object, ...]:
    """The encoder takes its states as `*states`, which torch.export wants as one nested tuple."""
    if graph.name == "encoder":
        features, *states = dynamic.values()
        return (features, tuple(states)) if states else (features,)
    return tuple(dynamic.values())
