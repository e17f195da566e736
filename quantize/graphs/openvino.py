"""OpenVINO IR files: reading, writing, and what their weights are."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openvino

_PASSES = ("Convert", "Reshape", "Transpose", "Multiply", "Subtract", "FakeQuantize")
"""Operators between a constant and the product that reads it."""


def read_graph(path: Path) -> openvino.Model:
    """Read an `.xml` file with its `.bin`."""
    return openvino.Core().read_model(str(path))


def write_graph(model: openvino.Model, path: Path, half: bool = False) -> list[Path]:
    """Write an `.xml` file with its `.bin`, float constants in 16 bits if `half`; returns both."""
    openvino.save_model(model, str(path), compress_to_fp16=half)
    return [path, path.with_suffix(".bin")]


def weight_layers(model: openvino.Model) -> list[str]:
    """Nodes that multiply by a constant matrix, in order of execution."""
    return [op.get_friendly_name() for op in _products(model) if _reads_constant(op)]


def activation_products(model: openvino.Model) -> list[str]:
    """Nodes that multiply two activations, as attention does; OpenVINO may have made one node of both products."""
    attentions = [op for op in model.get_ordered_ops() if op.get_type_name() == "ScaledDotProductAttention"]
    products = [op for op in _products(model) if not _reads_constant(op)]
    return [op.get_friendly_name() for op in (*products, *attentions)]


def _products(model: openvino.Model) -> list[Any]:
    return [op for op in model.get_ordered_ops() if op.get_type_name() == "MatMul"]


def _reads_constant(product: Any) -> bool:
    node = product.input_value(1).get_node()
    while node.get_type_name() in _PASSES:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def weight_bytes(path: Path) -> Mapping[str, int]:
    """Bytes of the constants by element type, such as `float32`, `int8`, `uint4`."""
    counts: Counter[str] = Counter()
    for op in read_graph(path).get_ops():
        if op.get_type_name() == "Constant":
            counts[_name(op.get_element_type().get_type_name())] += int(op.get_byte_size())
    return dict(counts)


def _name(kind: str) -> str:
    """OpenVINO's name of an element type, such as `u8`, in numpy's words."""
    families = {"f": "float", "bf": "bfloat", "i": "int", "u": "uint"}
    family, size = kind.rstrip("0123456789"), kind.lstrip("abcdefghijklmnopqrstuvwxyz")
    return families.get(family, family) + size
