"""How small variants get, with matrices of a size at which it shows."""

from pathlib import Path

import pytest

from emf.quantize.calibration import CalibrationOptions, calibrate
from emf.quantize.recipe import make_recipe
from emf.quantize.variant import VariantRequest, add_variant
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.session import BACKENDS
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
