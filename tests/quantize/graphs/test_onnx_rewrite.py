"""Rewritten graphs compute what they did before, in fewer operators."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from emf.quantize.graphs.onnx_rewrite import join_bias
from emf.runtime.arrays import FloatArray

ROWS, INPUTS, OUTPUTS = 3, 8, 5
SCALE = np.float32(0.02)


def quantized_layer(bias: FloatArray, weight_scales: FloatArray) -> onnx.ModelProto:
    """A layer as NNCF leaves it: quantized input and weight, float product, then the bias."""
    random = np.random.default_rng(0)
    weight = random.integers(-127, 128, (OUTPUTS, INPUTS)).astype(np.int8)
    constants = {
        "scale": SCALE,
        "zero": np.array(128, np.uint8),
        "weight": weight,
        "weight_scales": weight_scales,
        "weight_zeros": np.zeros(OUTPUTS, np.int8),
        "bias": bias,
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["quantized"], "q"),
        helper.make_node("DequantizeLinear", ["quantized", "scale", "zero"], ["input"], "dq"),
        helper.make_node("DequantizeLinear", ["weight", "weight_scales", "weight_zeros"], ["matrix"], "dq_w", axis=0),
        helper.make_node("Gemm", ["input", "matrix"], ["product"], "gemm", transB=1),
        helper.make_node("Add", ["product", "bias"], ["y"], "add"),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", OUTPUTS])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto) -> FloatArray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((ROWS, INPUTS)).astype(np.float32)
    result: FloatArray = session.run(None, {"x": x})[0]
    return result


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_bias_joins_the_product() -> None:
    scales = np.linspace(1e-3, 1e-2, OUTPUTS).astype(np.float32)
    model = quantized_layer(np.linspace(-2.0, 2.0, OUTPUTS).astype(np.float32), scales)
    expected = run(model)
    join_bias(model)
    onnx.checker.check_model(model)
    assert "Add" not in operators(model)
    # The bias is rounded to the scale of the product.
    np.testing.assert_allclose(run(model), expected, atol=float(SCALE * scales.max()))


@pytest.mark.parametrize("bias", [1.0, -1.0])
def test_bias_too_large_for_the_scale_stays(bias: float) -> None:
    scales = np.full(OUTPUTS, 1e-9, np.float32)
    model = quantized_layer(np.full(OUTPUTS, bias, np.float32), scales)
    expected = run(model)
    join_bias(model)
    assert operators(model)[-2:] == ["Gemm", "Add"]
    np.testing.assert_array_equal(run(model), expected)


def test_product_that_others_read_keeps_its_bias_apart() -> None:
    model = quantized_layer(np.ones(OUTPUTS, np.float32), np.full(OUTPUTS, 1e-3, np.float32))
    model.graph.node.append(helper.make_node("Relu", ["product"], ["other"], "relu"))
    model.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["n", OUTPUTS]))
    join_bias(model)
    assert "Add" in operators(model)
