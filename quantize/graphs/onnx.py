"""ONNX graph files: reading, writing, and what their weights are."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import helper

_WEIGHTED = ("MatMul", "Gemm")


def read_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX file."""
    return onnx.load(str(path))


def write_graph(model: onnx.ModelProto, path: Path) -> list[Path]:
    """Write one self-contained file; returns the files written."""
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return [path]


def weight_layers(model: onnx.ModelProto) -> list[str]:
    """Nodes that multiply by a constant matrix, in order of execution."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [n.name for n in model.graph.node if n.op_type in _WEIGHTED and n.input[1] in constants]


def activation_products(model: onnx.ModelProto) -> list[str]:
    """Nodes that multiply two activations, as attention does."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [n.name for n in model.graph.node if n.op_type in _WEIGHTED and n.input[1] not in constants]


def weight_bytes(path: Path) -> Mapping[str, int]:
    """Bytes of the constants by element type, such as `float32`, `int8`, `int4`.

    What MatMulNBits packs into bytes counts as what it is.
    """
    model = read_graph(path)
    packed = {
        node.input[1]: f"int{helper.get_node_attr_value(node, 'bits')}"
        for node in model.graph.node
        if node.op_type == "MatMulNBits"
    }
    counts: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        name = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        counts[packed.get(tensor.name, {"float": "float32"}.get(name, name))] += _size(tensor)
    return dict(counts)


def _size(tensor: onnx.TensorProto) -> int:
    """Bytes of a constant."""
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    return onnx.numpy_helper.to_array(tensor).nbytes
