"""All layers' feed-forward networks as ONNX graphs: whole, with fewer neurons, and cut into experts.

Input `x` (1, rows, d), and of experts `routing` (layers, rows, E), their scores. Every layer is a layer norm, two
products and a residual. ONNX Runtime chooses experts in `com.microsoft.MoE` or `QMoE`; OpenVINO has no operator for a
network of two matrices, so that the graph for it computes all experts and weighs them. Residuals are added to
(1, rows, d): added to rows, OpenVINO 2026.4 crashes as it compiles some sizes.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from emf.quantize.structure.onnx_builder import CONTRIB, OnnxBuilder
from emf.quantize.structure.weights import EncoderWeights, LayerWeights
from emf.runtime.arrays import FloatArray

_LARGEST, _ZERO = 127, 128
"""Of int8 weights, and what QMoE subtracts from each byte."""


def write_dense(path: Path, weights: EncoderWeights) -> Path:
    """Every neuron of every layer."""
    builder, x = OnnxBuilder(), "x"
    for layer in weights.layers:
        hidden = builder.linear(_rows(builder, builder.norm(x, layer.norm_ffn), weights), layer.ffn_in)
        y = builder.linear(builder.activate(hidden, weights.activation), layer.ffn_out)
        x = builder.node("Add", builder.reshape(y, 1, -1, weights.dim), x)
    return builder.write(path, {"x": (1, "rows", weights.dim)}, {"y": x})


def write_chosen(path: Path, weights: EncoderWeights, experts: int, chosen: int, quantized: bool) -> Path:
    """Experts in ONNX Runtime's operators: neurons in equal parts, the `chosen` best of each row computed."""
    builder, x = OnnxBuilder(), "x"
    for index, layer in enumerate(weights.layers):
        routing = builder.node("Gather", "routing", builder.constant(np.array(index, np.int64)), axis=0)
        first, second = _parts(layer, experts)
        biases = _biases(builder, layer, experts)
        attributes = {"k": chosen, "activation_type": weights.activation, "normalize_routing_weights": 1}
        given = [_rows(builder, builder.norm(x, layer.norm_ffn), weights), routing]
        if quantized:
            inputs = [*_quantized(builder, first), biases[0], *_quantized(builder, second), biases[1]]
            y = builder.node("QMoE", *given, *inputs, domain=CONTRIB, expert_weight_bits=8, **attributes)
        else:
            inputs = [builder.constant(first), biases[0], builder.constant(second), biases[1]]
            y = builder.node("MoE", *given, *inputs, domain=CONTRIB, **attributes)
        x = builder.node("Add", builder.reshape(y, 1, -1, weights.dim), x)
    return builder.write(path, _inputs(weights, experts), {"y": x})


def write_all(path: Path, weights: EncoderWeights, experts: int) -> Path:
    """Experts as stacks of products, all of them computed and weighed by their scores."""
    builder, x = OnnxBuilder(), "x"
    for index, layer in enumerate(weights.layers):
        routing = builder.node("Gather", "routing", builder.constant(np.array(index, np.int64)), axis=0)
        shares = builder.reshape(builder.node("Transpose", routing, perm=[1, 0]), experts, -1, 1)
        first, second = (part.transpose(0, 2, 1) for part in _parts(layer, experts))
        copies = builder.node(
            "Expand", builder.norm(x, layer.norm_ffn), builder.constant(np.array([experts, 1, 1], np.int64))
        )
        hidden = builder.node("MatMul", copies, builder.constant(first))
        size = weights.neurons // experts
        bias = builder.constant(layer.ffn_in.bias[: experts * size].reshape(experts, 1, size))
        hidden = builder.activate(builder.node("Add", hidden, bias), weights.activation)
        weighed = builder.node("Mul", builder.node("MatMul", hidden, builder.constant(second)), shares)
        axes = builder.constant(np.array([0], np.int64))
        x = builder.node("Add", builder.node("ReduceSum", weighed, axes, keepdims=1), x)
    return builder.write(path, _inputs(weights, experts), {"y": x})


def _rows(builder: OnnxBuilder, x: str, weights: EncoderWeights) -> str:
    return builder.reshape(x, -1, weights.dim)


def _inputs(weights: EncoderWeights, experts: int) -> dict[str, tuple[int | str, ...]]:
    return {"x": (1, "rows", weights.dim), "routing": (len(weights.layers), "rows", experts)}


def _parts(layer: LayerWeights, experts: int) -> tuple[FloatArray, FloatArray]:
    """Both matrices in equal parts, (E, F / E, d) and (E, d, F / E); what is over is left out."""
    size, dim = len(layer.ffn_in.weight) // experts, len(layer.ffn_out.weight)
    first = layer.ffn_in.weight[: experts * size].reshape(experts, size, dim)
    second = layer.ffn_out.weight[:, : experts * size].reshape(dim, experts, size).transpose(1, 0, 2)
    return first, second


def _biases(builder: OnnxBuilder, layer: LayerWeights, experts: int) -> tuple[str, str]:
    size = len(layer.ffn_in.bias) // experts
    first = layer.ffn_in.bias[: experts * size].reshape(experts, size)
    second = np.tile(layer.ffn_out.bias, (experts, 1))
    return builder.constant(first), builder.constant(second)


def _quantized(builder: OnnxBuilder, weights: FloatArray) -> tuple[str, str]:
    """Weights in bytes, and a scale for each of their rows."""
    scales = np.maximum(np.abs(weights).max(axis=2), np.float32(1e-12)) / np.float32(_LARGEST)
    whole = np.clip(np.rint(weights / scales[:, :, None]), -_LARGEST, _LARGEST)
    stored: npt.NDArray[np.uint8] = (whole + _ZERO).astype(np.uint8)
    return builder.constant(stored), builder.constant(scales)
