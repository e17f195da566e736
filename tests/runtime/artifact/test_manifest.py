"""The manifest: round trip, and the right one-line error for every damage."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emf.runtime import ArtifactError, ArtifactNotFound, EmfError, Recognizer
from emf.runtime.artifact.confidence import ConfidenceCurve
from emf.runtime.artifact.files import read_verified, verify_file
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.manifest_file import SCHEMA_VERSION, read_manifest, write_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.session import BACKENDS
from tests.runtime.artifact.damage import Place, change_bytes, copy_artifact, edited_manifest, put, remove
from tests.signals import speech_like


@pytest.fixture
def artifact(tiny_artifact: Path, tmp_path: Path) -> Path:
    """A copy of the tiny artifact to damage."""
    return copy_artifact(tiny_artifact, tmp_path / "artifact")


def load_error(artifact: Path, **options: Any) -> EmfError:
    """The one-line error of opening an artifact and using it once."""
    with pytest.raises(EmfError) as caught:
        Recognizer.load(artifact, **options).transcribe(speech_like(0.2), 16_000)
    assert "\n" not in str(caught.value)
    return caught.value


def test_round_trip(tiny_artifact: Path, tmp_path: Path) -> None:
    manifest = read_manifest(copy_artifact(tiny_artifact, tmp_path / "copy"))
    write_manifest(manifest, manifest.root)
    assert read_manifest(manifest.root) == manifest
    assert [path.name for path in manifest.root.glob("*.partial")] == []


def test_round_trip_of_a_calibration(tiny_artifact: Path, tmp_path: Path) -> None:
    manifest = read_manifest(copy_artifact(tiny_artifact, tmp_path / "copy"))
    assert manifest.confidence is None
    write_manifest(replace(manifest, confidence=ConfidenceCurve(0.75, -0.5)), manifest.root)
    assert read_manifest(manifest.root).confidence == ConfidenceCurve(0.75, -0.5)


def test_what_it_says(tiny_artifact: Path) -> None:
    manifest = read_manifest(tiny_artifact)
    assert manifest.backends == BACKENDS
    assert manifest.variants == (Variant("onnxruntime", "fp32"), Variant("openvino", "fp32"))
    assert set(manifest.variant(Variant("openvino", "fp32"))) == {"encoder", "predictor", "joiner"}
    assert manifest.geometry.step_length == 20
    assert manifest.geometry.frames_per_step == 4
    for graph in manifest.graphs:
        assert graph.bytes == sum(manifest.path(file).stat().st_size for file in graph.files)
        assert [tensor.shape[0] for tensor in (*graph.inputs, *graph.outputs)].count(None) == len(
            (*graph.inputs, *graph.outputs)
        )
    assert len(manifest.files()) == 1 + 3 + 6


def test_a_variant_that_is_not_there(tiny_artifact: Path) -> None:
    with pytest.raises(ArtifactError, match=r"openvino/int4.*holds onnxruntime/fp32, openvino/fp32"):
        read_manifest(tiny_artifact).variant(Variant("openvino", "int4"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("index", range(4))
def test_a_missing_file(artifact: Path, backend: str, index: int) -> None:
    manifest = read_manifest(artifact)
    files = [manifest.vocabulary.file, *(g.files[-1] for g in manifest.variant(Variant(backend, "fp32")).values())]
    manifest.path(files[index]).unlink()
    error = load_error(artifact, backend=backend)
    assert isinstance(error, ArtifactNotFound | FileNotFoundError)
    assert files[index].path in str(error)


def every_file(change: Callable[[bytearray], None]) -> Callable[[Path, str], None]:
    def damage(artifact: Path, name: str) -> None:
        change_bytes(artifact / name, change)

    return damage


FILES = ["tokens.txt", "onnxruntime/fp32/encoder.onnx", "onnxruntime/fp32/joiner.onnx"]
OPENVINO_FILES = ["openvino/fp32/predictor.xml", "openvino/fp32/encoder.bin"]


def flip_last(content: bytearray) -> None:
    content[-1] ^= 1


@pytest.mark.parametrize("name", [*FILES, *OPENVINO_FILES])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop(), "truncated or changed"),
        (lambda content: content.clear(), "truncated or changed"),
        (lambda content: content.append(0), "truncated or changed"),
        (flip_last, "SHA-256"),
    ],
    ids=["truncated", "emptied", "longer", "one bit flipped"],
)
def test_a_damaged_file(artifact: Path, name: str, change: Callable[[bytearray], None], message: str) -> None:
    change_bytes(artifact / name, change)
    error = load_error(artifact, backend=name.split("/")[0] if "/" in name else None)
    assert isinstance(error, ArtifactError)
    assert message in str(error)
    assert name in str(error)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_graph_that_the_engine_refuses(artifact: Path, backend: str) -> None:
    """The checksum fits, the content does not."""
    manifest = read_manifest(artifact)
    graph = manifest.variant(Variant(backend, "fp32"))["joiner"]
    manifest.path(graph.files[0]).write_bytes(b"garbage " * 10)
    rewritten = [
        replace(g, files=(_described(artifact, g.files[0].path), *g.files[1:])) if g == graph else g
        for g in manifest.graphs
    ]
    write_manifest(replace(manifest, graphs=tuple(rewritten)), artifact)
    error = load_error(artifact, backend=backend)
    assert isinstance(error, ArtifactError)
    assert "cannot open" in str(error)


def _described(root: Path, name: str) -> Any:
    from emf.runtime.artifact.files import describe_file

    return describe_file(root, root / name)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "\ufffe", '{"schema_version": 1}', "[" * 100_000],
    ids=lambda content: ascii(content[:24]),
)
def test_a_manifest_that_is_no_manifest(artifact: Path, content: str) -> None:
    (artifact / "manifest.json").write_text(content, encoding="utf-16" if "\ufffe" in content else "utf-8")
    assert isinstance(load_error(artifact), ArtifactError)


@pytest.mark.parametrize("name", ["nowhere", "manifest.json", "tokens.txt"])
def test_no_artifact(artifact: Path, name: str) -> None:
    error = load_error(artifact / name)
    assert isinstance(error, ArtifactNotFound)
    assert "emf-export" in str(error)


def test_a_newer_schema_asks_for_a_newer_runtime(artifact: Path) -> None:
    with edited_manifest(artifact) as document:
        document["schema_version"] = SCHEMA_VERSION + 1
        document["geometry"] = "of another world"
    assert "install a newer emformer-deploy" in str(load_error(artifact))


def test_an_older_schema_asks_for_another_export(artifact: Path) -> None:
    with edited_manifest(artifact) as document:
        document["schema_version"] = 0
    assert "export the model again" in str(load_error(artifact))


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", "..\\outside", "onnxruntime/..", ""])
@pytest.mark.parametrize("place", [("vocabulary", "file", "path"), ("graphs", 0, "files", 0, "path")], ids=str)
def test_paths_stay_inside_the_artifact(artifact: Path, place: Place, path: str) -> None:
    (artifact.parent / "outside").write_text("secret", encoding="utf-8")
    with edited_manifest(artifact) as document:
        put(document, place, path)
    error = load_error(artifact)
    assert isinstance(error, ArtifactError)
    assert "secret" not in str(error)


WRONG: dict[Place, list[Any]] = {
    ("schema_version",): [True, "1", 1.0, None],
    ("geometry",): [[], None, 3],
    ("geometry", "input_dim"): [0, -1, 24.0, "24", 10**30, None],
    ("geometry", "segment_length"): [0, 3, 2**25],
    ("geometry", "subsampling_factor"): [0, 17],
    ("geometry", "num_symbols"): [0, 1, 32],
    ("frontend", "sample_rate"): [0, 10**9, 16_000.5],
    ("frontend", "n_fft"): [0, 10**9],
    ("frontend", "hop_length"): [0, 401],
    ("frontend", "n_mels"): [23, 25],
    ("frontend", "mean"): [[], None, [0.0] * 23, ["a"] * 24, [10**400] * 24],
    ("frontend", "mean", 0): [float("nan"), float("inf"), None, True],
    ("frontend", "default"): ["", "mel", None, []],
    ("frontend", "tail_padding"): [-1, 1e9, float("nan"), None],
    ("vocabulary", "blank_id"): [33, -1, None],
    ("vocabulary", "hidden_ids"): [[-1], ["a"], None, [0.5]],
    ("vocabulary", "file", "path"): ["a" * 300, "a/" * 2000, "a\0b", "\ud800", None, 1],
    ("vocabulary", "file", "bytes"): [-1, 10**30, None],
    ("vocabulary", "file", "sha256"): ["", None, "0" * 64],
    ("graphs",): [[], {}, None, [{}]],
    ("graphs", 0, "name"): ["decoder", None],
    ("graphs", 0, "backend"): ["tensorrt", None, ""],
    ("graphs", 0, "precision"): [None, "int8"],
    ("graphs", 0, "files"): [[], None],
    ("graphs", 0, "inputs"): [[], None],
    ("graphs", 0, "inputs", 0, "dtype"): ["float99", "object", "float16", None],
    ("graphs", 0, "inputs", 0, "shape"): [[], [None], [1, 20, 24], [None, 20, 25], [None, -1, 24], [None] * 9],
    ("graphs", 0, "inputs", 2, "shape"): [[None, 2**24, 2**24, 2**24], [None, 8, 7, 8], [None, 2**24]],
    ("graphs", 0, "outputs"): [[], None],
    ("graphs", 0, "states"): [[], None],
    ("graphs", 0, "states", 0, "input"): ["nothing", None],
    ("graphs", 0, "states", 0, "output"): ["nothing", None],
    ("graphs", 0, "states", 0, "update"): ["shift", None],
    ("graphs", 0, "states", 1, "axis"): [9, -1, None, 7],
    ("tool_versions",): [None, []],
}
OPTIONAL: dict[Place, list[Any]] = {
    ("blank_penalties",): [None, [], {"onnxruntime/fp32": "much"}],
    ("confidence",): [[], 1.0, {}, {"slope": 0.0, "offset": 0.0}, {"slope": -1.0, "offset": 0.0}, {"slope": 1.0}],
}


@pytest.mark.parametrize(
    ("place", "value"),
    [(place, value) for place, values in (WRONG | OPTIONAL).items() for value in values],
    ids=lambda part: str(part)[:50],
)
def test_wrong_values(artifact: Path, place: Place, value: Any) -> None:
    """Found when the artifact is opened, or at the latest when it is used, and told in one line."""
    with edited_manifest(artifact) as document:
        put(document, place, value)
    load_error(artifact, backend="onnxruntime")


@pytest.mark.parametrize("place", [p for p in WRONG if p[-1] != 0], ids=str)
def test_missing_fields(artifact: Path, place: Place) -> None:
    with edited_manifest(artifact) as document:
        remove(document, place)
    assert isinstance(load_error(artifact, backend="onnxruntime"), ArtifactError)


def test_verify_file_compares_the_content(tiny_artifact: Path, artifact: Path) -> None:
    manifest: Manifest = read_manifest(tiny_artifact)
    for file in manifest.files():
        verify_file(artifact / file.path, file)
        assert read_verified(artifact / file.path, file) == (tiny_artifact / file.path).read_bytes()
        change_bytes(artifact / file.path, flip_last)
        for read in (verify_file, read_verified):
            with pytest.raises(ArtifactError, match="SHA-256"):
                read(artifact / file.path, file)
