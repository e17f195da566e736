"""How small variants get, with matrices of a size at which it shows, and that the backend reads them so."""

from pathlib import Path

import numpy as np
import pytest

from emf.quantize.calibration import CalibrationOptions, calibrate
from emf.quantize.recipe import make_recipe
from emf.quantize.report.operators import profile_graph
from emf.quantize.variant import VariantRequest, add_variant
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.session import BACKENDS
from emf.runtime.measure.machine import describe_machine
from emf.runtime.speech.utterances import read_speech_manifest
from tests.signals import speech_like

RATIOS = {"int8": 0.33, "int8-weight": 0.31, "int4-weight": 0.22, "bf16": 0.53}
"""Greatest share of fp32's bytes, all files of the encoder counted."""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Manifest:
    """A model whose encoder has 256 dimensions, in all variants."""
    from emf.export.artifact import ExportOptions, export_artifact
    from tests.oracle import source_of, tiny

    root = tmp_path_factory.mktemp("sizes") / "artifact"
    config = tiny(16, 4, 4, left=8, time_reduction_input_dim=64, transformer_ffn_dim=1024, encoding_dim=128)
    manifest, _ = export_artifact(source_of("sizes", config), root, ExportOptions(BACKENDS, speech_like(2.0)))
    recorded = calibrate(manifest, read_speech_manifest(speech), CalibrationOptions(10, beam_width=2))
    for precision in RATIOS:
        backends = BACKENDS if precision != "bf16" else ("openvino",)
        manifest = add_variant(root, VariantRequest(precision, make_recipe(precision), backends), recorded)
    return manifest


@pytest.mark.parametrize("precision", RATIOS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_size_ratio(manifest: Manifest, backend: str, precision: str) -> None:
    if Variant(backend, precision) not in manifest.variants:
        assert (backend, precision) == ("onnxruntime", "bf16")
        return
    small, large = (manifest.variant(Variant(backend, name))["encoder"].bytes for name in (precision, "fp32"))
    assert small < RATIOS[precision] * large


@pytest.mark.parametrize("precision", ["int8-weight", "int4-weight"])
def test_openvino_reads_weights_as_they_are_stored(manifest: Manifest, precision: str) -> None:
    """No product with weights runs in float32, whatever stands before it: half of them multiply a reshaped matrix."""
    if "avx2" not in describe_machine().instruction_sets:
        pytest.skip("OpenVINO unpacks weights on processors without AVX2")
    encoder = manifest.variant(Variant("openvino", precision))["encoder"]
    inputs = {t.name: np.zeros(tuple(size or 3 for size in t.shape), t.dtype) for t in encoder.inputs}
    products = [entry for entry in profile_graph(manifest, encoder, [inputs], 1) if entry.weights]
    assert products and {entry.weights for entry in products} == {"quantized"}
