"""A variant is what it claims, or it is not there."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from emf.quantize import variant as variant_module
from emf.quantize.calibration import CalibrationSet
from emf.quantize.compress import compress
from emf.quantize.graphs.files import weight_bytes
from emf.quantize.recipe import GraphRecipe, make_recipe
from emf.quantize.report.operators import profile_graph
from emf.quantize.variant import PROVENANCE, VariantRequest, add_variant
from emf.runtime import ArtifactError, Recognizer, UsageError
from emf.runtime.artifact.manifest import GRAPH_NAMES, Manifest
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.session import BACKENDS, check, open_session
from tests.signals import SAMPLE_RATE, speech_like

VARIANTS = [f"{b}/{p}" for b in BACKENDS for p in ("int8", "int8-weight", "int4-weight")] + ["openvino/bf16"]
LOW_BITS = {
    "int8": {"int8", "uint8"},
    "int8-weight": {"int8", "uint8"},
    "int4-weight": {"int4", "uint4"},
    "bf16": {"float16"},
}
FLOATS_LEFT = 0.35
"""Share of an encoder's bytes in float32: biases, normalizations, scales, the first matrix; the model is tiny."""


@pytest.fixture(scope="module")
def manifest(quantized: Path) -> Manifest:
    return read_manifest(quantized)


@pytest.mark.parametrize("name", VARIANTS)
def test_weights_have_the_bits_they_should(manifest: Manifest, name: str) -> None:
    backend, _, precision = name.partition("/")
    encoder = manifest.variant(Variant(backend, precision))["encoder"]
    found = {kind: size for kind, size in weight_bytes(manifest, encoder).items() if "64" not in kind}
    low = sum(size for kind, size in found.items() if kind in LOW_BITS[precision])
    assert low > 0
    floats = weight_bytes(manifest, manifest.variant(Variant(backend, "fp32"))["encoder"])["float32"]
    assert found.get("float32", 0) < FLOATS_LEFT * floats


@pytest.mark.parametrize("name", VARIANTS)
def test_graphs_take_and_give_what_the_float_ones_do(
    manifest: Manifest, calibration: CalibrationSet, name: str
) -> None:
    backend, _, precision = name.partition("/")
    for graph, source in manifest.variant(Variant(backend, "fp32")).items():
        spec = manifest.variant(Variant(backend, precision))[graph]
        assert (spec.inputs, spec.outputs, spec.states) == (source.inputs, source.outputs, source.states)
        outputs = open_session(manifest, spec, 1).run(
            calibration.samples[graph][-1], [tensor.name for tensor in spec.outputs]
        )
        for tensor in spec.outputs:
            check(outputs[tensor.name], tensor)


@pytest.mark.parametrize("name", VARIANTS)
def test_noise_is_bounded_and_recorded(manifest: Manifest, name: str) -> None:
    graphs = manifest.provenance[PROVENANCE][name]["graphs"]
    least = 12.0 if "int4" in name else 25.0
    for graph in GRAPH_NAMES:
        for output, ratio in graphs[graph]["signal_to_noise_db"].items():
            assert ratio > least, (graph, output)


@pytest.mark.parametrize("name", VARIANTS)
def test_text_is_the_same_alone_and_in_a_batch(quantized: Path, manifest: Manifest, name: str) -> None:
    assert manifest.provenance[PROVENANCE][name]["batch_invariant"] is True
    backend, _, precision = name.partition("/")
    recognizer = Recognizer.load(quantized, backend=backend, precision=precision, beam_width=4, num_threads=1)
    # One loud stream among them: a scale taken over the whole batch would change the others.
    recordings = [speech_like(1.0 + 0.4 * seed, seed) * (20.0 if seed == 3 else 1.0) for seed in range(5)]
    alone = [recognizer.transcribe(samples, SAMPLE_RATE).text for samples in recordings]
    streams = [recognizer.create_stream() for _ in recordings]
    for stream, samples in zip(streams, recordings, strict=True):
        stream.accept_waveform(SAMPLE_RATE, samples)
        stream.input_finished()
    while any(recognizer.is_ready(stream) for stream in streams):
        recognizer.decode_streams(streams)
    assert any(alone)
    assert [recognizer.get_result(stream).text for stream in streams] == alone


@pytest.mark.parametrize("seven_bit_weights", [False, True])
def test_seven_bit_weights_use_half_of_the_range(
    artifact: Path, calibration: CalibrationSet, seven_bit_weights: bool
) -> None:
    recipe = make_recipe("int8", {"encoder": "fp32", "predictor": "fp32"}, seven_bit_weights)
    manifest = add_variant(artifact, VariantRequest("int8", recipe, ("onnxruntime",)), calibration)
    model = onnx.load(manifest.path(manifest.variant(Variant("onnxruntime", "int8"))["joiner"].files[0]))
    weights = [numpy_helper.to_array(t) for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    matrices = [weight.astype(np.int64) for weight in weights if weight.ndim == 2]
    assert len(matrices) == 1
    assert bool(np.abs(matrices[0]).max() <= 64) == seven_bit_weights


@pytest.mark.parametrize("precision", ["int8", "int8-weight"])
def test_onnx_runtime_runs_integer_kernels(manifest: Manifest, calibration: CalibrationSet, precision: str) -> None:
    graphs = manifest.variant(Variant("onnxruntime", precision))
    for graph in GRAPH_NAMES:
        operators = profile_graph(manifest, graphs[graph], calibration.samples[graph][:3], 1)
        calls = {entry.operator: entry.calls for entry in operators}
        integer = calls.get("MatMulIntegerToFloat", 0) + calls.get("QGemm", 0) + calls.get("MatMulNBits", 0)
        assert integer >= 1, (graph, calls)
        # The encoder's first matrix has 24 rows here, which no block of MatMulNBits divides.
        allowed = 1 if graph == "encoder" and precision == "int8-weight" else 0
        assert calls.get("DequantizeLinear", 0) <= allowed, (graph, calls)


def test_engine_properties_are_stated(manifest: Manifest) -> None:
    expected = {"int8": ("f32", "0"), "int8-weight": ("f32", "64"), "int4-weight": ("f32", "64"), "bf16": ("bf16", "0")}
    for precision, (hint, group) in expected.items():
        for graph in manifest.variant(Variant("openvino", precision)).values():
            assert graph.properties == {
                "INFERENCE_PRECISION_HINT": hint,
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
            }


def test_float_components_share_the_float_variants_files(artifact: Path, calibration: CalibrationSet) -> None:
    recipe = make_recipe("int8", {"encoder": "fp32", "predictor": "fp32"})
    manifest = add_variant(artifact, VariantRequest(recipe.name, recipe, BACKENDS), calibration)
    for backend in BACKENDS:
        mixed, floats = manifest.variant(Variant(backend, "fp32+fp32+int8")), manifest.variant(Variant(backend, "fp32"))
        assert mixed["encoder"].files == floats["encoder"].files
        assert mixed["joiner"].files != floats["joiner"].files
        assert Recognizer.load(artifact, backend=backend, precision="fp32+fp32+int8", beam_width=2)


def test_the_blank_penalty_of_a_variant_is_used(artifact: Path) -> None:
    request = VariantRequest("penalized", make_recipe("int8-weight"), ("onnxruntime",), blank_penalty=1.5)
    add_variant(artifact, request, None)
    assert Recognizer.load(artifact, backend="onnxruntime", precision="penalized").options.blank_penalty == 1.5
    assert Recognizer.load(artifact, backend="onnxruntime").options.blank_penalty == 0.0


def test_a_name_that_exists_is_refused(quantized: Path) -> None:
    with pytest.raises(UsageError, match="onnxruntime/int8 exists"):
        add_variant(quantized, VariantRequest("int8", make_recipe("int8"), BACKENDS), None)


def test_onnx_runtime_has_no_bf16(artifact: Path) -> None:
    with pytest.raises(UsageError, match="bf16"):
        add_variant(artifact, VariantRequest("bf16", make_recipe("bf16"), BACKENDS), None)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_artifact_already_quantized_is_refused(quantized: Path, artifact: Path, backend: str) -> None:
    document = json.loads((quantized / "manifest.json").read_text(encoding="utf-8"))
    graphs = [g for g in document["graphs"] if g["precision"] == "int4-weight" and g["backend"] == backend]
    document["graphs"] = [graph | {"precision": "fp32"} for graph in graphs]
    for graph in graphs:
        for file in graph["files"]:
            (artifact / file["path"]).parent.mkdir(exist_ok=True)
            (artifact / file["path"]).write_bytes((quantized / file["path"]).read_bytes())
    (artifact / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ArtifactError, match="quantized already"):
        add_variant(artifact, VariantRequest("again", make_recipe("int8"), (backend,)), None)


def _everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("moment", ["compress", "check_graph", "write_manifest"])
def test_an_interrupted_run_leaves_the_artifact_as_it_was(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    before = _everything(artifact)
    calls = []
    original = getattr(variant_module, moment)

    def interrupt(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == (1 if moment == "write_manifest" else 4):
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(variant_module, moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        add_variant(artifact, VariantRequest("int8-weight", make_recipe("int8-weight"), BACKENDS), None)
    assert _everything(artifact) == before
    assert [path.name for path in artifact.iterdir() if path.name.startswith(".")] == []


def test_a_graph_that_does_not_fit_its_specification_is_refused(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _everything(artifact)
    original = compress

    def wrong(backend: str, source: Path, target: Path, recipe: GraphRecipe, samples: object) -> list[Path]:
        other = source.with_name(source.name.replace("predictor", "joiner"))
        return original(backend, other, target, recipe, ())

    monkeypatch.setattr(variant_module, "compress", wrong)
    with pytest.raises(ArtifactError, match="the predictor does not fit the manifest"):
        add_variant(artifact, VariantRequest("wrong", make_recipe("int8-weight"), ("onnxruntime",)), None)
    assert _everything(artifact) == before


def test_zero_noise_has_a_bound() -> None:
    from emf.quantize.graphs.check import MAX_SIGNAL_TO_NOISE, decibels

    assert decibels(1.0, 0.0) == MAX_SIGNAL_TO_NOISE
    assert decibels(100.0, 1.0) == pytest.approx(20.0)
    assert np.isfinite(decibels(0.0, 0.0))
