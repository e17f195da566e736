"""What a profile says of products in float32, and what the profiles of real graphs are."""

from pathlib import Path

import pytest

from emf.quantize.calibration import CalibrationSet
from emf.quantize.recipe import GraphRecipe, default_graph_recipe
from emf.quantize.report.drift import encoder_inputs
from emf.quantize.report.operators import float32_products, profile_graph
from emf.quantize.report.rows import OperatorTime
from emf.runtime import Recognizer
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.session import BACKENDS
from emf.runtime.measure.machine import describe_machine
from tests.signals import speech_like

SLOW = (
    OperatorTime("FullyConnected", "gemm_mlas_f32", "float32", 41.0, 590.0),
    OperatorTime("FullyConnectedCompressed", "brgemm_avx512_f32", "quantized", 41.0, 300.0),
    OperatorTime("MatMul", "jit_gemm_f32", "", 40.0, 110.0),
)
"""Half of the products with weights in float32."""


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_encoder_as_it_is_exported_is_profiled(demo_artifact: Path, backend: str) -> None:
    """A report gives the encoder its inputs without the pool that lays streams in rows."""
    recognizer = Recognizer.load(demo_artifact, backend=backend)
    transducer = recognizer.transducer
    inputs = encoder_inputs(recognizer, speech_like(1.0), 3)
    operators = profile_graph(transducer.manifest, transducer.graphs["encoder"], inputs, 1)
    assert len(inputs) == 3 and sum(entry.microseconds for entry in operators) > 0


def test_half_of_the_products_in_float32() -> None:
    sentence = "41 of 82 matrix products of the encoder run in float32 (gemm_mlas_f32), 59 % of a step"
    assert float32_products(SLOW, GraphRecipe("int8-weight")) == sentence


@pytest.mark.parametrize(
    ("operators", "recipe"),
    [(SLOW, None), (SLOW, GraphRecipe("fp32")), (SLOW[1:], GraphRecipe("int8-weight")), ((), GraphRecipe("int8"))],
)
def test_nothing_to_tell(operators: tuple[OperatorTime, ...], recipe: GraphRecipe | None) -> None:
    assert float32_products(operators, recipe) == ""


def test_what_the_recipe_asks_for_is_told_as_such() -> None:
    operators = (OperatorTime("MatMul", "", "float32", 1.0, 4.0), OperatorTime("QGemm", "", "quantized", 81.0, 996.0))
    expected = (
        "1 of 82 matrix products of the encoder runs in float32 (MatMul), less than 1 % of a step, as its recipe asks"
    )
    assert float32_products(operators, default_graph_recipe("encoder", "int8")) == expected


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", ["fp32", "int8", "int8-weight", "int4-weight"])
def test_products_with_weights_are_known(
    quantized: Path, calibration: CalibrationSet, backend: str, precision: str
) -> None:
    """The tiny encoder multiplies by ten matrices, the first of which INT8 leaves in float32.

    Of ONNX Runtime's weights of 8 and 4 bits the first is unpacked: no block of its kernel divides its 24 rows.
    """
    manifest = read_manifest(quantized)
    if backend == "openvino" and "avx2" not in describe_machine().instruction_sets:
        pytest.skip("OpenVINO unpacks weights on processors without AVX2")
    graph = manifest.variant(Variant(backend, precision))["encoder"]
    operators = profile_graph(manifest, graph, calibration.samples["encoder"][:3], 1)
    calls = {"float32": 0.0, "quantized": 0.0, "": 0.0}
    for entry in operators:
        calls[entry.weights] += entry.calls
    floats = {"fp32": 10, "int8": 1}.get(precision, 1 if backend == "onnxruntime" else 0)
    assert (calls["float32"], calls["quantized"]) == (floats, 10 - floats)
