"""Small ONNX graphs, made by hand to be timed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from emf.quantize.structure.weights import Affine

CONTRIB = "com.microsoft"
_OPSET, _IR_VERSION = 20, 10
_NORM_EPSILON = 1e-5
_ROWS = "rows"


class OnnxBuilder:
    """Collects nodes and constants; every method returns the name of its result."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, array: npt.NDArray[np.generic]) -> str:
        """A constant."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        """An operator with one result."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [f"{name}_out"], name, None, domain, None, **attributes))
        return f"{name}_out"

    def split(self, x: str, parts: int, axis: int) -> list[str]:
        """Equal parts."""
        name = f"Split_{len(self._nodes)}"
        outputs = [f"{name}_{index}" for index in range(parts)]
        self._nodes.append(helper.make_node("Split", [x], outputs, name, axis=axis, num_outputs=parts))
        return outputs

    def best(self, x: str, count: int) -> str:
        """The greatest values of each row."""
        name = f"TopK_{len(self._nodes)}"
        size = self.constant(np.array([count], np.int64))
        self._nodes.append(helper.make_node("TopK", [x, size], [f"{name}_values", f"{name}_ids"], name, axis=1))
        return f"{name}_values"

    def reshape(self, x: str, *shape: int) -> str:
        """Another shape."""
        return self.node("Reshape", x, self.constant(np.array(shape, np.int64)))

    def linear(self, x: str, affine: Affine) -> str:
        """Rows times a matrix, plus its bias."""
        return self.node("Gemm", x, self.constant(affine.weight), self.constant(affine.bias), transB=1)

    def norm(self, x: str, affine: Affine) -> str:
        """Layer norm of the last axis."""
        weight, bias = self.constant(affine.weight), self.constant(affine.bias)
        return self.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=_NORM_EPSILON)

    def activate(self, x: str, activation: str) -> str:
        """`gelu`, `relu` or `silu`."""
        if activation == "silu":
            return self.node("Mul", x, self.node("Sigmoid", x))
        return self.node(activation.capitalize(), x)

    def write(self, path: Path, inputs: Mapping[str, Sequence[int | str]], outputs: Mapping[str, str]) -> Path:
        """Write the graph.

        Args:
            path: the file.
            inputs: float tensors by name, with their shapes.
            outputs: results by the graph's name for them.
        """
        for name, result in outputs.items():
            self._nodes.append(helper.make_node("Identity", [result], [name], f"give_{name}"))
        given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in inputs.items()]
        made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
        graph = helper.make_graph(self._nodes, "timed", given, made, self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(CONTRIB, 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION), str(path))
        return path
