"""Exported graphs of every option in both engines against PyTorch, and what stands in the artifact."""

import onnx
import pytest

from emf.export.artifact import metadata_of
from emf.export.parity.verification import Verification
from emf.export.parity.verify import verify
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.session import BACKENDS
from emf.runtime.recognition.recognizer import Recognizer
from tests.conftest import VERIFY_SECONDS, Export
from tests.oracle import CONFIGS, HOP_LENGTH
from tests.signals import SAMPLE_RATE, speech_like
from tests.tolerances import FEATURES, SCORE, TENSOR

configs = pytest.mark.parametrize("name", CONFIGS)
backends = pytest.mark.parametrize("backend", BACKENDS)


def assert_equal(found: Verification, backend: str, seconds: float) -> None:
    """The check saw everything, and everything was equal."""
    deviations = found.deviations[backend].by_tensor
    assert found.tokens_equal
    assert found.num_tokens > 0
    assert found.score_error <= SCORE
    assert found.seconds == pytest.approx(seconds)
    assert deviations.pop("features") <= FEATURES
    assert max(value for name, value in deviations.items() if ".chained_" not in name) <= TENSOR
    assert {"encoder.encoding", "predictor.prediction", "predictor.new_lstm_state"} <= deviations.keys()
    assert {"joiner.blank_log_prob", "joiner.log_probs", "joiner.top_log_probs"} <= deviations.keys()
    assert {"predictor.own_new_lstm_state", "joiner.own_log_probs"} <= deviations.keys()
    assert {"predictor.chained_new_lstm_state", "joiner.chained_log_probs"} <= deviations.keys()


@backends
@configs
def test_equal_to_pytorch(exported: Export, name: str, backend: str) -> None:
    artifact = exported(name)
    assert_equal(artifact.verification, backend, VERIFY_SECONDS)
    geometry = artifact.source.geometry
    assert artifact.verification.chunks == -(-int(VERIFY_SECONDS * 100) // geometry.segment_length)
    checked = artifact.verification.deviations[backend].by_tensor
    assert ("encoder.attention_cache" in checked) == (geometry.left_context_length > 0)
    assert ("encoder.memory" in checked) == (geometry.max_memory_size > 0)


@configs
def test_equal_on_other_audio_that_ends_within_a_chunk(exported: Export, name: str) -> None:
    artifact = exported(name)
    samples = speech_like(2.0, seed=11)[:31_337]
    found = verify(artifact.source, artifact.manifest, samples, TENSOR)
    segment = artifact.source.geometry.segment_length * HOP_LENGTH
    assert found.chunks == -(-len(samples) // segment)
    for backend in BACKENDS:
        assert_equal(found, backend, len(samples) / SAMPLE_RATE)


@configs
def test_one_sample_is_enough(exported: Export, name: str) -> None:
    artifact = exported(name)
    assert verify(artifact.source, artifact.manifest, speech_like(1.0)[:1], TENSOR).chunks == 1


@backends
@configs
def test_recognizers_open_every_configuration(exported: Export, name: str, backend: str) -> None:
    artifact = exported(name)
    for frontend in ("windowed", "continuous"):
        recognizer = Recognizer.load(
            artifact.root, backend=backend, frontend=frontend, num_threads=1, step_max_tokens=5
        )
        result = recognizer.transcribe(speech_like(2.0), SAMPLE_RATE)
        assert result.text
        step = artifact.source.geometry.segment_length * HOP_LENGTH / SAMPLE_RATE
        assert all(0.0 <= time <= 2.0 + step for time in result.timestamps), "the last step may be padding"


@configs
def test_graphs_are_flat_and_only_batch_and_segments_are_free(exported: Export, name: str) -> None:
    artifact = exported(name)
    for graph in artifact.manifest.variant(Variant("onnxruntime", "fp32")).values():
        proto = onnx.load(artifact.manifest.path(graph.files[0])).graph
        assert not {node.op_type for node in proto.node} & {"Loop", "If", "Scan"}
        wide = graph.over_segments() or graph
        for found, specs, wides in (
            (proto.input, graph.inputs, wide.inputs),
            (proto.output, graph.outputs, wide.outputs),
        ):
            assert [tensor.name for tensor in found] == [spec.name for spec in specs]
            for tensor, spec, passes in zip(found, specs, wides, strict=True):
                batch, *sizes = tensor.type.tensor_type.shape.dim
                assert batch.dim_param
                fixed = tuple(a if a == b else 0 for a, b in zip(spec.shape, passes.shape, strict=True))
                assert tuple(size.dim_value for size in sizes) == fixed[1:]


def test_essentials_stand_in_every_graph_file(exported: Export) -> None:
    import openvino

    artifact = exported("memory-tanh")
    expected = metadata_of(artifact.source)
    assert expected["blank_id"] == "32"
    assert expected["memory_size"] == "3"
    for graph in artifact.manifest.variant(Variant("onnxruntime", "fp32")).values():
        proto = onnx.load(artifact.manifest.path(graph.files[0]))
        assert {prop.key: prop.value for prop in proto.metadata_props} == expected
    for graph in artifact.manifest.variant(Variant("openvino", "fp32")).values():
        model = openvino.Core().read_model(artifact.manifest.path(graph.files[0]))
        assert {name: model.get_rt_info(["emf", name]).astype(str) for name in expected} == expected


def test_nothing_in_the_artifact_names_the_machine(exported: Export) -> None:
    from pathlib import Path

    import emf.export.graphs.graphs

    artifact = exported("like-base")
    folders = {str(Path(emf.export.graphs.graphs.__file__).parents[1]), str(Path.home()), str(artifact.root.parent)}
    for path in (p for p in artifact.root.rglob("*") if p.is_file()):
        content = path.read_bytes()
        assert not [folder for folder in folders if folder.encode() in content], path.name
        assert b"stack_trace" not in content, path.name


def test_manifest_tells_where_the_model_came_from(exported: Export) -> None:
    manifest = exported("like-base").manifest
    assert {"torch", "onnx", "onnxruntime", "openvino"} <= manifest.tool_versions.keys()
    assert manifest.provenance["model"] == "like-base"
    assert manifest.provenance["checkpoint_sha256"] == "0" * 64
    assert manifest.results["verify"]["tokens_equal"] is True
