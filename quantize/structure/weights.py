"""The encoder's weights, read from an artifact's float graph: the artifact alone is enough, no checkpoint is needed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from emf.quantize.graphs.onnx import read_graph
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import GraphSpec, Manifest
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.errors import ArtifactError, UsageError

_ACTIVATIONS = {"Gelu": "gelu", "Erf": "gelu", "Relu": "relu", "Sigmoid": "silu"}
"""The activation by the operator that only it has in an encoder."""
_LAYER = "NPPNPPN"
"""An Emformer layer: norm, projection, attention's output; norm, two products of the feed-forward network; norm."""


@dataclass(frozen=True, slots=True)
class Affine:
    """`x @ weight.T + bias`; or, of a layer norm, what its normed rows are multiplied by and what is added."""

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One Emformer layer; d is its width and F its number of neurons.

    Attributes:
        norm_input: layer norm before attention.
        projection: query (scaled), key and value, (3 d, d).
        out_proj: attention's output, (d, d).
        norm_ffn: layer norm before the feed-forward network.
        ffn_in: (F, d).
        ffn_out: (d, F).
        norm_output: layer norm after it.
    """

    norm_input: Affine
    projection: Affine
    out_proj: Affine
    norm_ffn: Affine
    ffn_in: Affine
    ffn_out: Affine
    norm_output: Affine

    @property
    def key_value(self) -> FloatArray:
        """Weights of keys and values alone, (2 d, d)."""
        return self.projection.weight[len(self.out_proj.weight) :]


@dataclass(frozen=True, slots=True)
class EncoderWeights:
    """The encoder.

    Attributes:
        input_linear: applied to each feature frame, (n_mels, time reduction's width).
        layers: in order.
        output_linear: (encoding_dim, d).
        norm: layer norm of the encodings.
        num_heads: of every layer's attention.
        activation: of every layer's neurons: `gelu`, `relu` or `silu`.
    """

    input_linear: FloatArray
    layers: tuple[LayerWeights, ...]
    output_linear: Affine
    norm: Affine
    num_heads: int
    activation: str

    @property
    def dim(self) -> int:
        """Width of the layers."""
        return len(self.layers[0].out_proj.weight)

    @property
    def neurons(self) -> int:
        """Neurons of each feed-forward network."""
        return len(self.layers[0].ffn_in.weight)


def read_weights(manifest: Manifest) -> EncoderWeights:
    """The weights of the float encoder for ONNX Runtime.

    They are found by the order in which an Emformer uses them, not by name: exporters merge equal tensors.

    Raises:
        UsageError: the artifact has no such graph, or its model has a memory bank or was converted.
        ArtifactError: the graph is not an encoder as emf-export writes it.
    """
    variant = Variant("onnxruntime", FLOAT)
    if manifest.is_converted:
        raise UsageError(
            f"{manifest.root}: expected a model as it was trained, found one that emf-export made smaller, see its "
            "manifest; ask --what-if of an artifact of the original"
        )
    if variant not in manifest.variants:
        raise UsageError(
            f"{manifest.root}: expected a variant {variant}, whose weights --what-if reads; export with "
            "--backends onnxruntime,openvino"
        )
    if manifest.geometry.max_memory_size:
        raise UsageError(
            f"{manifest.root}: expected a model without a memory bank, found {manifest.geometry.max_memory_size} "
            "memory vectors; --what-if does not measure such models"
        )
    graph = manifest.variant(variant)["encoder"]
    heads = _heads(graph)
    model = read_graph(manifest.path(graph.files[0])).graph
    kinds, affines = _in_order(model)
    count = kinds.count("N") // 3
    if heads is None or kinds != f"P{_LAYER * count}PN":
        raise ArtifactError(
            f"{manifest.root}: expected the layers of an Emformer with a left context in {graph.files[0].path}, found "
            "others; --what-if takes artifacts that were not converted: export the model again"
        )
    layers = tuple(LayerWeights(*affines[1 + 7 * index : 8 + 7 * index]) for index in range(count))
    return EncoderWeights(
        input_linear=np.ascontiguousarray(affines[0].weight.T),
        layers=layers,
        output_linear=affines[-2],
        norm=affines[-1],
        num_heads=heads // (2 * count),
        activation=next(_ACTIVATIONS[node.op_type] for node in model.node if node.op_type in _ACTIVATIONS),
    )


def _heads(graph: GraphSpec) -> int | None:
    """Heads, from the shape of the cache (rows, layers * 2 * heads, left context, head_dim); `None` without one."""
    shape = next((tensor.shape for tensor in graph.inputs if tensor.name == "attention_cache"), None)
    return None if shape is None else shape[1]


def _in_order(graph: onnx.GraphProto) -> tuple[str, list[Affine]]:
    """Layer norms (`N`) and products with a matrix of weights (`P`) as they are executed, and what they hold."""
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    added = {node.input[0]: node.input[1] for node in graph.node if node.op_type == "Add" and node.input[1] in tensors}
    kinds, affines = "", []
    for node in graph.node:
        weight = tensors.get(node.input[1]) if len(node.input) > 1 else None
        if weight is None or node.op_type not in ("LayerNormalization", "Gemm", "MatMul"):
            continue
        is_norm, turned = node.op_type == "LayerNormalization", node.op_type == "MatMul"
        bias = node.input[2] if len(node.input) > 2 else added.get(node.output[0], "")
        rows = weight.T if turned or not (is_norm or _is_turned(node)) else weight
        kinds += "N" if is_norm else "P"
        affines.append(_affine(rows, tensors.get(bias)))
    return kinds, affines


def _is_turned(node: onnx.NodeProto) -> bool:
    """Whether a Gemm reads its weight as (outputs, inputs)."""
    return any(attribute.name == "transB" and attribute.i for attribute in node.attribute)


def _affine(weight: npt.NDArray[np.generic], bias: npt.NDArray[np.generic] | None) -> Affine:
    zeros = np.zeros(len(weight), np.float32)
    return Affine(np.ascontiguousarray(weight, np.float32), zeros if bias is None else np.asarray(bias, np.float32))
