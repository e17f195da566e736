"""Sessions: which engine, which errors, and that they hold nothing between calls."""

import builtins
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import openvino
import pytest

from emf.runtime import ArtifactError, MissingDependency, Recognizer, UsageError
from emf.runtime.arrays import Arrays
from emf.runtime.artifact.manifest import GraphSpec, Manifest, TensorSpec
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.session import BACKENDS, Session, check, open_session
from emf.runtime.inference.session_openvino import OpenVinoSession, compile_graph
from tests.tolerances import TENSOR

RANDOM = np.random.default_rng(0)


def open_graph(manifest: Manifest, backend: str, name: str) -> tuple[GraphSpec, Session]:
    graph = manifest.variant(Variant(backend, "fp32"))[name]
    return graph, open_session(manifest, graph, num_threads=1)


def random_inputs(graph: GraphSpec, batch: int) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for spec in graph.inputs:
        shape = [size or batch for size in spec.shape]
        whole = RANDOM.integers(1, 9, shape) if spec.dtype == "int64" else RANDOM.uniform(0.5, 1.5, shape)
        inputs[spec.name] = whole.astype(spec.dtype)
    return inputs


@pytest.mark.parametrize("name", ["encoder", "predictor", "joiner"])
def test_every_output_for_every_batch(tiny_artifact: Path, backend: str, name: str) -> None:
    graph, session = open_graph(read_manifest(tiny_artifact), backend, name)
    for batch in (1, 2, 7, 1):
        inputs = random_inputs(graph, batch)
        outputs = session.run(inputs, [spec.name for spec in graph.outputs])
        assert list(outputs) == [spec.name for spec in graph.outputs]
        for spec in graph.outputs:
            check(outputs[spec.name], spec)
            assert len(outputs[spec.name]) == batch


@pytest.mark.parametrize("name", ["encoder", "predictor", "joiner"])
def test_outputs_belong_to_the_caller(tiny_artifact: Path, backend: str, name: str) -> None:
    """A later call changes neither what an earlier one returned nor its inputs."""
    graph, session = open_graph(read_manifest(tiny_artifact), backend, name)
    wanted = [spec.name for spec in graph.outputs]
    inputs = random_inputs(graph, 2)
    before = {key: array.copy() for key, array in inputs.items()}
    first = session.run(inputs, wanted)
    copies = {key: array.copy() for key, array in first.items()}
    session.run(random_inputs(graph, 2), wanted)
    again = session.run(inputs, wanted)
    for key in wanted:
        np.testing.assert_array_equal(first[key], copies[key])
        np.testing.assert_array_equal(again[key], copies[key])
    for key in inputs:
        np.testing.assert_array_equal(inputs[key], before[key])


def test_engines_compute_the_same(tiny_artifact: Path) -> None:
    manifest = read_manifest(tiny_artifact)
    for name in ("encoder", "predictor", "joiner"):
        graph, _ = open_graph(manifest, "onnxruntime", name)
        inputs: Arrays = random_inputs(graph, 3)
        wanted = [spec.name for spec in graph.outputs]
        first, second = (open_graph(manifest, b, name)[1].run(inputs, wanted) for b in BACKENDS)
        for key in wanted:
            found, expected = (np.asarray(outputs[key], np.float64) for outputs in (first, second))
            np.testing.assert_allclose(found, expected, rtol=0, atol=TENSOR)


def test_the_float_variant_computes_in_float32(tiny_artifact: Path, backend: str) -> None:
    _, session = open_graph(read_manifest(tiny_artifact), backend, "encoder")
    assert session.precision == "f32"


@pytest.mark.parametrize("package", BACKENDS)
def test_a_missing_engine_names_the_extra(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return original(name, *arguments, **keywords)

    module = f"emf.runtime.inference.session_{package}"
    importlib.import_module(module)
    monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependency, match=rf"pip install 'emformer-deploy\[{package}\]'") as caught:
        Recognizer.load(tiny_artifact, backend=package)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ImportError)


def test_an_engine_that_does_not_exist(tiny_artifact: Path) -> None:
    with pytest.raises((UsageError, ArtifactError), match="onnxruntime"):
        Recognizer.load(tiny_artifact, backend="tensorrt")


def test_a_precision_that_the_artifact_lacks(tiny_artifact: Path, backend: str) -> None:
    with pytest.raises(ArtifactError, match=f"{backend}/int8"):
        Recognizer.load(tiny_artifact, backend=backend, precision="int8")


@pytest.mark.parametrize("backend_property", [("onnxruntime", ""), ("openvino", "NO_SUCH_PROPERTY")])
def test_a_property_that_the_engine_refuses(tiny_artifact: Path, backend_property: tuple[str, str]) -> None:
    from dataclasses import replace

    backend, name = backend_property
    manifest = read_manifest(tiny_artifact)
    graph = replace(manifest.variant(Variant(backend, "fp32"))["joiner"], properties={name: "1"})
    with pytest.raises(ArtifactError) as caught:
        open_session(manifest, graph, 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 3), np.float64), ((2, 4), np.float32), ((2,), np.float32), ((2, 3, 1), np.float32)]
)
def test_check_refuses_other_shapes_and_types(shape: tuple[int, ...], dtype: type) -> None:
    spec = TensorSpec("x", "float32", (None, 3))
    check(np.zeros((5, 3), np.float32), spec)
    with pytest.raises(UsageError, match="x: expected float32"):
        check(np.zeros(shape, dtype), spec)


def test_openvino_compiles_for_the_sizes_it_is_given(tiny_artifact: Path) -> None:
    manifest = read_manifest(tiny_artifact)
    session = open_session(manifest, manifest.variant(Variant("openvino", "fp32"))["joiner"], 1, sizes=(2, 6))
    assert {size for rows in range(1, 40) for size in session.blocks(rows)} == {2, 6}


def test_openvino_runs_sizes_that_are_ready_while_another_is_compiled(tiny_artifact: Path) -> None:
    manifest, compiling, go_on = read_manifest(tiny_artifact), Event(), Event()
    graph = manifest.variant(Variant("openvino", "fp32"))["joiner"]
    shapes = {tensor.name: tensor.shape for tensor in (*graph.inputs, *graph.outputs)}
    axes = {name: shape.index(None) for name, shape in shapes.items()}

    model = openvino.Core().read_model(str(manifest.path(graph.files[0])))

    def compile_slowly(num_rows: int) -> openvino.CompiledModel:
        if num_rows == 6:
            compiling.set()
            assert go_on.wait(30)
        return compile_graph(model, num_rows, shapes, {}, None)

    session = OpenVinoSession(compile_slowly, (2, 6), axes)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(session.run, random_inputs(graph, 6), ["top_ids"])
        assert compiling.wait(30)
        quick = pool.submit(session.run, random_inputs(graph, 2), ["top_ids"])
        try:
            assert len(quick.result(10)["top_ids"]) == 2
        finally:
            go_on.set()
        assert len(slow.result(30)["top_ids"]) == 6


@pytest.mark.parametrize("name", ["encoder", "predictor", "joiner"])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 23])
def test_a_batch_in_blocks_gives_what_its_rows_give_alone(
    tiny_artifact: Path, backend: str, name: str, rows: int
) -> None:
    manifest = read_manifest(tiny_artifact)
    graph = manifest.variant(Variant(backend, "fp32"))[name]
    session = open_session(manifest, graph, 1, sizes=(2, 6))
    inputs, wanted = random_inputs(graph, rows), [spec.name for spec in graph.outputs]
    together = session.run(inputs, wanted)
    for row in range(rows):
        alone = session.run({key: array[row : row + 1] for key, array in inputs.items()}, wanted)
        for key in wanted:
            found, expected = together[key][row : row + 1], alone[key]
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(found.astype(np.float64), expected.astype(np.float64), rtol=0, atol=TENSOR)


@pytest.mark.parametrize("name", ["encoder", "predictor", "joiner"])
def test_warming_up_changes_no_result(tiny_artifact: Path, backend: str, name: str) -> None:
    graph, session = open_graph(read_manifest(tiny_artifact), backend, name)
    inputs, wanted = random_inputs(graph, 5), [spec.name for spec in graph.outputs]
    before = session.run(inputs, wanted)
    session.warm_up(9)
    session.warm_up(3)
    after = session.run(inputs, wanted)
    for key in wanted:
        np.testing.assert_array_equal(before[key], after[key])


def test_compiled_graphs_are_kept_where_asked(tiny_artifact: Path, tmp_path: Path) -> None:
    manifest, cache = read_manifest(tiny_artifact), tmp_path / "cache"
    graph = manifest.variant(Variant("openvino", "fp32"))["encoder"]
    inputs, wanted = random_inputs(graph, 3), [spec.name for spec in graph.outputs]
    first = open_session(manifest, graph, 1, cache).run(inputs, wanted)
    kept = sorted(path.relative_to(cache) for path in cache.rglob("*.blob"))
    again = open_session(manifest, graph, 1, cache).run(inputs, wanted)
    assert kept and kept == sorted(path.relative_to(cache) for path in cache.rglob("*.blob"))
    for key in wanted:
        np.testing.assert_array_equal(first[key], again[key])
    open_session(manifest, manifest.variant(Variant("openvino", "fp32"))["joiner"], 1, cache)
    assert len(list(cache.iterdir())) == 2, "every graph has a folder named for its checksums"


def test_a_cache_that_cannot_be_used_is_told(
    tiny_artifact: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest, cache = read_manifest(tiny_artifact), tmp_path / "no folder"
    cache.write_text("in the way")
    graph = manifest.variant(Variant("openvino", "fp32"))["joiner"]
    assert open_session(manifest, graph, 1, cache).run(random_inputs(graph, 1), ["top_ids"])
    assert "going on without" in caplog.text
