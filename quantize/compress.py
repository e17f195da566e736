"""One graph made smaller, for either backend. The only importer of nncf."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nncf
from nncf.quantization.advanced_parameters import (
    AdvancedCompressionParameters,
    AdvancedQuantizationParameters,
    AdvancedSmoothQuantParameters,
    GroupSizeFallbackMode,
    OverflowFix,
)
from nncf.quantization.range_estimator import RangeEstimatorParametersSet
from onnx import version_converter

from emf.quantize.graphs import onnx as onnx_graphs
from emf.quantize.graphs import onnx_rewrite
from emf.quantize.graphs import openvino as openvino_graphs
from emf.quantize.graphs.signal_stack import signal_stack_kept
from emf.quantize.recipe import GraphRecipe
from emf.runtime.arrays import Arrays
from emf.runtime.errors import UsageError
from emf.runtime.telemetry import quiet

_INT4_OPSET = 21
"""The first version of ONNX in which DequantizeLinear has blocks."""


def compress(backend: str, source: Path, target: Path, recipe: GraphRecipe, samples: Sequence[Arrays]) -> list[Path]:
    """Write a smaller copy of a float graph.

    Args:
        backend: whose graph it is.
        source: the float graph, `.onnx` or `.xml`.
        target: the file to write, with the same suffix.
        recipe: how.
        samples: recorded inputs; only `int8` needs them.

    Returns:
        The files written, the one that the backend opens first.

    Raises:
        UsageError: the backend cannot compute in this precision.
    """
    check_supported(backend, recipe.precision)
    with quiet("nncf"), signal_stack_kept():
        return _WRITERS[backend](source, target, recipe, samples)


def check_supported(backend: str, precision: str) -> None:
    """Refuse what a backend cannot do.

    Raises:
        UsageError: ONNX Runtime's CPU provider has no BF16 arithmetic.
    """
    if backend == "onnxruntime" and precision == "bf16":
        raise UsageError(
            "expected a precision that ONNX Runtime's CPU provider computes in, found bf16, which it does not; "
            "pass --backends openvino, or another precision for onnxruntime"
        )


def engine_properties(backend: str, recipe: GraphRecipe) -> dict[str, str]:
    """What the runtime must ask of the backend for this recipe, stated so that nothing is left to its choice."""
    if backend != "openvino":
        return {}
    weights_only = recipe.precision in ("int8-weight", "int4-weight")
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if recipe.precision == "bf16" else "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(recipe.group_size) if weights_only else "0",
    }


def _write_onnx(source: Path, target: Path, recipe: GraphRecipe, samples: Sequence[Arrays]) -> list[Path]:
    model = onnx_graphs.read_graph(source)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if recipe.precision == "int8":
        onnx_rewrite.split_bias(model)
        model = _quantize(model, recipe, samples, onnx_graphs)
        onnx_rewrite.join_bias(model)
    else:
        onnx_rewrite.gemm_as_matmul(model)
        if recipe.precision == "int4-weight":
            model = version_converter.convert_version(model, _INT4_OPSET)
        model = _compress_weights(model, recipe)
        onnx_rewrite.pack_weights(model)
    onnx_rewrite.dequantize_after_gather(model)
    del model.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return onnx_graphs.write_graph(model, target)


def _write_openvino(source: Path, target: Path, recipe: GraphRecipe, samples: Sequence[Arrays]) -> list[Path]:
    model = openvino_graphs.read_graph(source)
    if recipe.precision == "int8":
        model = _quantize(model, recipe, samples, openvino_graphs)
    elif recipe.precision != "bf16":
        model = _compress_weights(model, recipe)
    return openvino_graphs.write_graph(model, target, half=recipe.precision == "bf16")


_WRITERS: dict[str, Callable[[Path, Path, GraphRecipe, Sequence[Arrays]], list[Path]]] = {
    "onnxruntime": _write_onnx,
    "openvino": _write_openvino,
}


def _quantize(model: Any, recipe: GraphRecipe, samples: Sequence[Arrays], graphs: Any) -> Any:
    """Weights and activations in 8 bits with static ranges; products of two activations stay in float.

    Attention's products are small: quantizing them costs more time than it saves, and precision. A range holds all that
    was recorded: NNCF's own choice, the mean of the samples' ranges, cuts off what is rare, at 2.5 dB in the demo.
    """
    layers = graphs.weight_layers(model)
    ignored = graphs.activation_products(model) + [layers[i] for i in recipe.float_layers if i < len(layers)]
    return nncf.quantize(
        model,
        nncf.Dataset(list(samples)),
        subset_size=len(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=nncf.IgnoredScope(names=ignored) if ignored else None,
        advanced_parameters=AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE if recipe.seven_bit_weights else OverflowFix.DISABLE,
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=max(recipe.smooth_quant_alpha, -1.0)),
        ),
    )


def _compress_weights(model: Any, recipe: GraphRecipe) -> Any:
    """Weights in 8 or 4 bits, symmetric; embeddings and the last layer never below 8."""
    if recipe.precision == "int8-weight":
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    return nncf.compress_weights(
        model,
        mode=nncf.CompressWeightsMode.INT4_SYM,
        backup_mode=nncf.BackupMode.INT8_SYM,
        group_size=recipe.group_size,
        advanced_parameters=AdvancedCompressionParameters(group_size_fallback_mode=GroupSizeFallbackMode.ADJUST),
    )
