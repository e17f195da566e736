"""An export appears whole or not at all, and never takes the place of what is not an artifact."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emf.export.artifact import ExportOptions, export_artifact
from emf.export.replacing import replacing
from emf.runtime.artifact.manifest import GRAPH_NAMES, Manifest
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.errors import UsageError
from tests.conftest import Export
from tests.oracle import source
from tests.runtime.artifact.damage import copy_artifact
from tests.signals import speech_like


def write_something(folder: Path) -> None:
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    (folder / "encoder.onnx").write_bytes(b"x" * 100)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, MemoryError])
def test_a_failure_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), replacing(tmp_path / "out", force=False) as partial:
        write_something(partial)
        raise error
    assert names(tmp_path) == set()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_artifact(tmp_path: Path, tiny_artifact: Path, error: type[BaseException]) -> None:
    old = copy_artifact(tiny_artifact, tmp_path / "out")
    before = read_manifest(old)
    with pytest.raises(error), replacing(old, force=True) as partial:
        write_something(partial)
        raise error
    assert read_manifest(old) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_while_moving_leaves_the_old_artifact(
    tmp_path: Path, tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = copy_artifact(tiny_artifact, tmp_path / "out")
    before, replace = read_manifest(old), Path.replace

    def fail_for_the_new(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError("disk on fire")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_for_the_new)
    with pytest.raises(OSError, match="fire"), replacing(old, force=True) as partial:
        write_something(partial)
    assert read_manifest(old) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_success_replaces_the_whole_folder(tmp_path: Path, tiny_artifact: Path) -> None:
    old = copy_artifact(tiny_artifact, tmp_path / "out")
    with replacing(old, force=True) as partial:
        assert old.is_dir(), "the old one stays until the new one is complete"
        write_something(partial)
    assert names(tmp_path) == {"out", "manifest.json", "encoder.onnx"}


def test_parents_are_made(tmp_path: Path) -> None:
    with replacing(tmp_path / "a" / "b" / "out", force=False) as partial:
        write_something(partial)
    assert (tmp_path / "a" / "b" / "out" / "encoder.onnx").is_file()


def test_an_existing_artifact_needs_force(tmp_path: Path, tiny_artifact: Path) -> None:
    old = copy_artifact(tiny_artifact, tmp_path / "out")
    with pytest.raises(UsageError, match="--force"), replacing(old, force=False):
        pytest.fail("must not begin")
    assert read_manifest(old)


def photos(folder: Path) -> None:
    (folder / "photo.jpg").write_bytes(b"irreplaceable")


def web_application(folder: Path) -> None:
    """Web applications have a manifest.json, too."""
    photos(folder)
    (folder / "manifest.json").write_text('{"name": "My app", "icons": []}', encoding="utf-8")


def broken_manifest(folder: Path) -> None:
    photos(folder)
    (folder / "manifest.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize("fill", [photos, web_application, broken_manifest])
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_something_else_is_never_touched(tmp_path: Path, fill: Any, force: bool) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    fill(folder)
    before = names(tmp_path)
    with pytest.raises(UsageError, match=r"out (exists|is not an artifact)"), replacing(folder, force):
        pytest.fail("must not begin")
    assert names(tmp_path) == before
    assert (folder / "photo.jpg").read_bytes() == b"irreplaceable"


@pytest.mark.parametrize("force", [False, True])
def test_a_file_is_never_touched(tmp_path: Path, force: bool) -> None:
    path = tmp_path / "out"
    path.write_text("important", encoding="utf-8")
    with pytest.raises(UsageError), replacing(path, force):
        pytest.fail("must not begin")
    assert path.read_text(encoding="utf-8") == "important"


def test_an_empty_folder_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with replacing(tmp_path / "out", force=True) as partial:
        write_something(partial)
    assert "encoder.onnx" in names(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot write"), replacing(tmp_path / "file" / "out", force=False):
        pytest.fail("must not begin")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_export_interrupted_in_its_check_leaves_nothing(
    exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """By then all files are written; here they are copies, which is quicker."""
    artifact, written = exported("left-below-segment"), set[str]()

    def copy_files(_: Any, root: Path, __: Any) -> Manifest:
        shutil.copytree(artifact.root, root, dirs_exist_ok=True)
        return artifact.manifest

    def interrupt(steps: Iterable[Any], _: int) -> Iterator[Any]:
        for index, step in enumerate(steps):
            if index == 2:
                written.update(names(tmp_path))
                raise error
            yield step

    monkeypatch.setattr("emf.export.artifact.write_files", copy_files)
    options = ExportOptions(("onnxruntime",), speech_like(1.0), progress=interrupt)
    with pytest.raises(error):
        export_artifact(artifact.source, tmp_path / "out", options)
    assert {"manifest.json", "encoder.onnx", "tokens.txt"} <= written
    assert names(tmp_path) == set()


def test_one_engine_alone(tmp_path: Path) -> None:
    options = ExportOptions(("openvino",), speech_like(1.0))
    manifest, verification = export_artifact(source("left-below-segment"), tmp_path / "out", options)
    assert manifest.backends == ("openvino",)
    assert verification.deviations.keys() == {"openvino"}
    assert read_manifest(tmp_path / "out") == manifest
    assert names(tmp_path / "out" / "openvino" / "fp32") == {f"{g}.{s}" for g in GRAPH_NAMES for s in ("xml", "bin")}
    assert not (tmp_path / "out" / "onnxruntime").exists()
