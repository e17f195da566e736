"""The check that ends every export must fail, and name the place, when a graph or the model is wrong."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from emf.export.artifact import ExportOptions, export_artifact
from emf.export.parity.verify import verify
from emf.runtime.arrays import Arrays
from emf.runtime.artifact.files import describe_file
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.manifest_file import read_manifest, write_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.errors import ToleranceError
from emf.runtime.inference.encoder_state import EncoderState
from emf.runtime.inference.session import BACKENDS
from tests.conftest import Export, Exported
from tests.oracle import CONFIGS
from tests.runtime.artifact.damage import copy_artifact
from tests.signals import speech_like
from tests.tolerances import TENSOR

SAMPLES = speech_like(1.0)
FIRST = {
    "encoder": "encoder.encoding deviates",
    "predictor": "predictor.prediction deviates",
    "joiner": "joiner.blank_log_prob deviates",
}


def with_new_checksums(manifest: Manifest) -> Manifest:
    root, graphs = manifest.root, []
    for graph in manifest.graphs:
        files = tuple(describe_file(root, manifest.path(file)) for file in graph.files)
        graphs.append(replace(graph, files=files))
    write_manifest(replace(manifest, graphs=tuple(graphs)), root)
    return read_manifest(root)


def change_onnx(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change the largest weight of an ONNX file."""
    proto = onnx.load(path)
    largest = max(proto.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
    weight = change(numpy_helper.to_array(largest).copy())
    largest.CopyFrom(numpy_helper.from_array(weight, largest.name))
    onnx.save(proto, str(path))


def change_openvino(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change the weights of an OpenVINO graph; indices and shapes look like tiny or huge floats."""
    path = path.with_suffix(".bin")
    content = path.read_bytes()
    values = np.frombuffer(content[: len(content) // 4 * 4], np.float32).copy()
    weights = (np.abs(values) > 1e-3) & (np.abs(values) < 10.0)
    values[weights] = change(values[weights])
    path.write_bytes(values.tobytes() + content[len(content) // 4 * 4 :])


CHANGE: dict[str, Callable[[Path, Callable[[np.ndarray], np.ndarray]], None]] = {
    "onnxruntime": change_onnx,
    "openvino": change_openvino,
}


def spoiled(
    exported: Export, folder: Path, backend: str, graph: str, change: Callable[[np.ndarray], np.ndarray]
) -> tuple[Exported, Manifest]:
    """A copy of an artifact in which the weights of one graph are changed, with the right checksums."""
    artifact = exported("like-base")
    manifest = read_manifest(copy_artifact(artifact.root, folder / "artifact"))
    CHANGE[backend](manifest.path(manifest.variant(Variant(backend, "fp32"))[graph].files[0]), change)
    return artifact, with_new_checksums(manifest)


@pytest.mark.parametrize("graph", FIRST)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_changed_weight_of_a_graph(exported: Export, tmp_path: Path, backend: str, graph: str) -> None:
    artifact, manifest = spoiled(exported, tmp_path, backend, graph, lambda weight: weight * np.float32(1.02))
    with pytest.raises(ToleranceError, match=f"{backend}: {FIRST[graph]}"):
        verify(artifact.source, manifest, SAMPLES, TENSOR)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_that_are_not_numbers(exported: Export, tmp_path: Path, backend: str) -> None:
    artifact, manifest = spoiled(exported, tmp_path, backend, "encoder", lambda weight: weight * np.float32("nan"))
    with pytest.raises(ToleranceError, match=r"encoder\.encoding deviates from PyTorch by nan"):
        verify(artifact.source, manifest, SAMPLES, TENSOR)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("transcriber.transformer.emformer_layers.1.pos_ff.1.weight", "encoder.encoding deviates"),
        ("transcriber.transformer.emformer_layers.1.attention.emb_to_query.weight", "encoder.encoding deviates"),
        ("predictor.lstm_layers.1.p2g.weight", "predictor.prediction deviates"),
        ("joiner.linear.weight", "joiner.blank_log_prob deviates"),
    ],
)
def test_a_changed_weight_of_the_model(exported: Export, parameter: str, message: str) -> None:
    artifact = exported("like-base")
    rnnt = copy.deepcopy(artifact.source.rnnt)
    with torch.no_grad():
        rnnt.get_parameter(parameter).mul_(1.02)
    with pytest.raises(ToleranceError, match=message):
        verify(replace(artifact.source, rnnt=rnnt), artifact.manifest, SAMPLES, TENSOR)


def test_other_texts_fail_even_within_the_tolerance(exported: Export) -> None:
    artifact = exported("like-base")
    rnnt = copy.deepcopy(artifact.source.rnnt)
    with torch.no_grad():
        rnnt.joiner.linear.bias[-1] -= 2.0
    with pytest.raises(ToleranceError, match="other tokens than torchaudio"):
        verify(replace(artifact.source, rnnt=rnnt), artifact.manifest, SAMPLES, atol=100.0)


def test_other_scores_fail_even_within_the_tolerance(exported: Export) -> None:
    artifact = exported("like-base")
    rnnt = copy.deepcopy(artifact.source.rnnt)
    with torch.no_grad():
        rnnt.joiner.linear.bias[-1] -= 2e-4
    with pytest.raises(ToleranceError, match=r"scores deviate|other tokens"):
        verify(replace(artifact.source, rnnt=rnnt), artifact.manifest, speech_like(3.0), atol=100.0)


def test_a_state_written_to_the_wrong_place(exported: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention does not depend on the order of cached frames, but on which of them are kept."""

    write = EncoderState.write

    def write_one_entry_further(state: EncoderState, outputs: Arrays, row: int, segments: int = 1) -> None:
        write(state, outputs, row, segments)
        for tensor in state.layout:
            if tensor.spec.update == "ring":
                state.arrays[tensor.name] = np.roll(state.arrays[tensor.name], 1, axis=tensor.spec.axis)

    artifact = exported("memory-tanh")
    monkeypatch.setattr(EncoderState, "write", write_one_entry_further)
    with pytest.raises(ToleranceError, match=r"encoder\.attention_cache deviates.*chunk 0"):
        verify(artifact.source, artifact.manifest, SAMPLES, TENSOR)


def test_a_wrong_frontend_is_noticed(exported: Export) -> None:
    artifact = exported("like-base")
    frontend = replace(artifact.source.frontend, mean=tuple(m + 1e-3 for m in artifact.source.frontend.mean))
    source = replace(artifact.source, frontend=frontend)
    with pytest.raises(ToleranceError, match="deviates"):
        verify(source, artifact.manifest, SAMPLES, TENSOR)


def test_an_export_that_fails_its_check_leaves_nothing(
    exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files written, here copies of an older export, belong to another model."""
    artifact = exported("left-below-segment")
    rnnt = copy.deepcopy(artifact.source.rnnt)
    with torch.no_grad():
        rnnt.joiner.linear.bias += torch.arange(CONFIGS["left-below-segment"]["num_symbols"])

    def copy_files(_: Any, root: Path, __: Any) -> Manifest:
        shutil.copytree(artifact.root, root, dirs_exist_ok=True)
        return artifact.manifest

    monkeypatch.setattr("emf.export.artifact.write_files", copy_files)
    with pytest.raises(ToleranceError, match="joiner"):
        export_artifact(replace(artifact.source, rnnt=rnnt), tmp_path / "out", ExportOptions(BACKENDS, SAMPLES))
    assert list(tmp_path.iterdir()) == []
