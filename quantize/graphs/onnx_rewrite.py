"""Equivalent ONNX graphs that ONNX Runtime runs as integer kernels.

Left as NNCF writes them, some of its patterns run as DequantizeLinear of a whole weight at every
step and a float product: ONNX Runtime's profiler shows it. Each function here removes one such case.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

_CONTRIB = "com.microsoft"
_LARGEST_BIAS = 2**30
"""A bias in the product's scale beyond this could overflow 32 bits together with the product."""
_INT8_ACCURACY = 4
"""`accuracy_level` of MatMulNBits: activations are quantized to 8 bits, row by row and block by block."""
_BLOCKS = (256, 128, 64, 32, 16)
"""Lengths of a block of weights with one scale that MatMulNBits knows."""


class _OnnxGraph:
    """A graph's initializers and producers by name."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.proto = model.graph
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.producers = {name: node for node in model.graph.node for name in node.output}
        self.readers = Counter(name for node in model.graph.node for name in node.input)

    def constant(self, name: str) -> npt.NDArray[np.generic] | None:
        tensor = self.initializers.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def add(self, name: str, array: npt.NDArray[np.generic]) -> str:
        self.proto.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def scale_of(self, name: str) -> npt.NDArray[np.float32] | None:
        """The scale of the DequantizeLinear that makes this tensor."""
        node = self.producers.get(name)
        scale = self.constant(node.input[1]) if node is not None and node.op_type == "DequantizeLinear" else None
        return None if scale is None else scale.astype(np.float32)

    def dequantized(self, name: str) -> onnx.NodeProto | None:
        """The DequantizeLinear of a constant that makes this tensor."""
        node = self.producers.get(name)
        found = node is not None and node.op_type == "DequantizeLinear" and node.input[0] in self.initializers
        return node if found else None


def _rewrite(
    model: onnx.ModelProto, rule: Callable[[_OnnxGraph, onnx.NodeProto], Iterable[onnx.NodeProto] | None]
) -> None:
    """Replace every node for which the rule gives others; drop what nothing reads any more."""
    graph = _OnnxGraph(model)
    nodes = [new for node in list(model.graph.node) for new in (rule(graph, node) or (node,))]
    read = {output.name for output in model.graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if any(name in read for name in node.output):
            kept.append(node)
            read.update(node.input)
    initializers = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(initializers)


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def split_bias(model: onnx.ModelProto) -> None:
    """Gemm with a float bias becomes Gemm and Add: ONNX Runtime quantizes only a Gemm without one."""

    def rule(graph: _OnnxGraph, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.op_type != "Gemm" or len(node.input) < 3:
            return None
        product = helper.make_node("Gemm", node.input[:2], [f"{node.name}_product"], name=node.name)
        product.attribute.extend(node.attribute)
        return [product, helper.make_node("Add", [product.output[0], node.input[2]], node.output, f"{node.name}_bias")]

    _rewrite(model, rule)


def join_bias(model: onnx.ModelProto) -> None:
    """Gemm and Add, once quantized, become one Gemm, whose kernel adds a bias in 32 bits and the product's scale."""

    def rule(graph: _OnnxGraph, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        product = graph.producers.get(node.input[0]) if node.op_type == "Add" else None
        bias = graph.constant(node.input[1]) if product is not None and product.op_type == "Gemm" else None
        if product is None or bias is None or graph.readers[product.output[0]] != 1:
            return None
        input_scale, weight_scale = (graph.scale_of(name) for name in product.input[:2])
        if input_scale is None or weight_scale is None:
            return None
        scale = (input_scale * weight_scale).reshape(-1)
        whole = np.rint(bias.astype(np.float64) / scale)
        if np.max(np.abs(whole)) > _LARGEST_BIAS:
            return None
        name = f"{node.name}_int32"
        inputs = [graph.add(name, whole.astype(np.int32)), graph.add(f"{name}_scale", np.squeeze(scale))]
        dequantize = helper.make_node("DequantizeLinear", inputs, [f"{name}_float"], f"{name}_dequantize", axis=0)
        joined = helper.make_node("Gemm", [*product.input, dequantize.output[0]], node.output, product.name)
        joined.attribute.extend(product.attribute)
        return [dequantize, joined]

    _rewrite(model, rule)


def gemm_as_matmul(model: onnx.ModelProto) -> None:
    """Gemm with a constant weight becomes MatMul, which can read packed weights, and Add."""

    def rule(graph: _OnnxGraph, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        weight = graph.constant(node.input[1]) if node.op_type == "Gemm" else None
        if weight is None:
            return None
        name = f"{node.name}_weight"
        graph.add(name, weight.T if _attributes(node).get("transB") else weight)
        if len(node.input) < 3:
            return [helper.make_node("MatMul", [node.input[0], name], node.output, node.name)]
        product = helper.make_node("MatMul", [node.input[0], name], [f"{node.name}_product"], node.name)
        return [product, helper.make_node("Add", [product.output[0], node.input[2]], node.output, f"{node.name}_bias")]

    _rewrite(model, rule)


def dequantize_after_gather(model: onnx.ModelProto) -> None:
    """Look the embedding up in 8 bits and dequantize the rows found, not the whole table."""

    def rule(graph: _OnnxGraph, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        table = graph.dequantized(node.input[0]) if node.op_type == "Gather" else None
        scale = None if table is None else graph.constant(table.input[1])
        if table is None or scale is None or scale.ndim != 1 or _attributes(node).get("axis", 0) != 0:
            return None
        if _attributes(table).get("axis", 1) != 0:
            return None
        base, indices = node.name, node.input[1]
        nodes = [
            helper.make_node("Gather", [table.input[0], indices], [f"{base}_rows"], f"{base}_rows"),
            helper.make_node("Cast", [f"{base}_rows"], [f"{base}_float"], f"{base}_cast", to=onnx.TensorProto.FLOAT),
        ]
        rows = f"{base}_float"
        zero_point = graph.constant(table.input[2]) if len(table.input) > 2 else None
        if zero_point is not None and np.any(zero_point):
            column = graph.add(f"{base}_zeros", zero_point.astype(np.float32)[:, None])
            nodes.append(helper.make_node("Gather", [column, indices], [f"{base}_zero"], f"{base}_gather_zero"))
            nodes.append(helper.make_node("Sub", [rows, f"{base}_zero"], [f"{base}_centred"], f"{base}_centre"))
            rows = f"{base}_centred"
        column = graph.add(f"{base}_scales", scale[:, None])
        nodes.append(helper.make_node("Gather", [column, indices], [f"{base}_scale"], f"{base}_gather_scale"))
        nodes.append(helper.make_node("Mul", [rows, f"{base}_scale"], node.output, f"{base}_dequantize"))
        return nodes

    _rewrite(model, rule)


def pack_weights(model: onnx.ModelProto) -> None:
    """MatMul with a weight of 8 or 4 bits becomes MatMulNBits, which reads it as it is stored."""

    def rule(graph: _OnnxGraph, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        source = graph.dequantized(node.input[1]) if node.op_type == "MatMul" else None
        if source is None or (len(source.input) > 2 and np.any(graph.constant(source.input[2]))):
            return None
        weight, scale = graph.constant(source.input[0]), graph.constant(source.input[1])
        if weight is None or scale is None or weight.ndim != 2:
            return None
        rows, columns = weight.shape
        # Not by the array's type: onnx 1.18 reads 4 bits as a type that numpy takes for int8.
        bits = 4 if graph.initializers[source.input[0]].data_type == onnx.TensorProto.INT4 else 8
        block = rows // len(scale) if scale.ndim == 2 else next((b for b in _BLOCKS if rows % b == 0), 0)
        if block not in _BLOCKS:
            return None
        count = rows // block
        scales = scale if scale.ndim == 2 else np.broadcast_to(scale, (count, columns))
        inputs = [
            node.input[0],
            graph.add(f"{node.name}_packed", _packed(weight, bits).reshape(columns, count, -1)),
            graph.add(f"{node.name}_scales", scales.T.astype(np.float32)),
        ]
        sizes = {"K": rows, "N": columns, "bits": bits, "block_size": block, "accuracy_level": _INT8_ACCURACY}
        return [helper.make_node("MatMulNBits", inputs, node.output, node.name, domain=_CONTRIB, **sizes)]

    _rewrite(model, rule)
    if not any(operators.domain == _CONTRIB for operators in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))


def _packed(weight: npt.NDArray[np.generic], bits: int) -> npt.NDArray[np.uint8]:
    """Columns of the weight one after the other, shifted to be positive, two values of 4 bits in a byte."""
    values: npt.NDArray[np.uint8] = (weight.T.astype(np.int16) + (1 << (bits - 1))).astype(np.uint8).reshape(-1)
    return values if bits == 8 else (values[0::2] | values[1::2] << 4).astype(np.uint8)
