"""Artifacts side by side: what a report compares, and what it refuses to compare."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emf.quantize.report.artifacts import side_by_side
from emf.quantize.report.conversion import model_words
from emf.runtime.artifact.files import describe_file
from emf.runtime.artifact.manifest import Manifest, TensorSpec
from emf.runtime.artifact.manifest_file import read_manifest, write_manifest
from emf.runtime.errors import ArtifactError, UsageError

CONVERSION: dict[str, Any] = {
    "ranks": [4, 9],
    "neurons": [16, 16],
    "symbols": [],
    "seconds": 90.0,
    "against_original": {"utterances": 9, "held_out": "", "encoder_snr_db": None, "searches": {}},
}
ORDER = [*range(31, -1, -1), 32]
Change = Callable[[Manifest], Manifest]


def copied(artifact: Path, folder: Path, change: Change = lambda manifest: manifest) -> Manifest:
    """A copy with another manifest."""
    shutil.copytree(artifact, folder)
    write_manifest(change(read_manifest(folder)), folder)
    return read_manifest(folder)


def converted(manifest: Manifest, **changes: Any) -> Manifest:
    return replace(manifest, provenance={**manifest.provenance, "conversion": CONVERSION | changes})


def without(manifest: Manifest, backend: str) -> Manifest:
    return replace(manifest, graphs=tuple(graph for graph in manifest.graphs if graph.backend != backend))


def test_variants_of_each_artifact_with_floats_first(artifact: Path, tmp_path: Path) -> None:
    """What they are compared with is measured, too; an artifact may lack a backend that the first one has."""
    small = copied(artifact, tmp_path / "small", lambda manifest: without(converted(manifest), "onnxruntime"))
    first, second = side_by_side([read_manifest(artifact), small])
    assert [first.name(v) for v in first.variants] == ["artifact onnxruntime/fp32", "artifact openvino/fp32"]
    assert [second.name(v) for v in second.variants] == ["small openvino/fp32"]
    found = second.origin(second.variants[0])
    assert found is not None and found.artifact == "small"
    assert (
        found.model == "with latents of 6 numbers a layer in the mean instead of keys and values and 16 neurons a layer"
    )
    (alone,) = side_by_side([small])
    assert [alone.name(v) for v in alone.variants] == ["openvino/fp32"] and alone.origin(alone.variants[0]) is None


def test_names_tell_folders_apart(artifact: Path, tmp_path: Path) -> None:
    other = copied(artifact, tmp_path / "below" / "artifact")
    first, second = side_by_side([read_manifest(artifact), other])
    assert (first.label, second.label) == (f"{tmp_path.name}/artifact", "below/artifact")


def renumbered(manifest: Manifest) -> Manifest:
    """The same pieces in another order, the blank last as before."""
    path = manifest.root / "tokens.txt"
    pieces = [line.rpartition(" ")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [f"{pieces[old]} {new}\n" for new, old in enumerate(ORDER)]
    path.write_text("".join(lines), encoding="utf-8")
    return replace(manifest, vocabulary=replace(manifest.vocabulary, file=describe_file(manifest.root, path)))


def test_tokens_are_compared_by_their_ids_in_the_original(artifact: Path, tmp_path: Path) -> None:
    small = copied(artifact, tmp_path / "small", lambda manifest: converted(renumbered(manifest), symbols=ORDER))
    first, second = side_by_side([read_manifest(artifact), small])
    assert first.original_ids([[0, 31], []]) == [[0, 31], []]
    assert second.original_ids([[0, 31], []]) == [[31, 0], []]
    damaged = copied(artifact, tmp_path / "damaged", lambda manifest: converted(manifest, symbols=ORDER[:-1]))
    with pytest.raises(ArtifactError, match=r"expected 33 symbols .* found 32; export the model again"):
        side_by_side([read_manifest(artifact), damaged])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda manifest: replace(manifest, provenance={"checkpoint_sha256": "1"}), "another checkpoint in"),
        (lambda manifest: replace(manifest, provenance={}), "another checkpoint in"),
        (
            lambda manifest: replace(manifest, frontend=replace(manifest.frontend, tail_padding=1.0)),
            "another frontend in",
        ),
        (renumbered, "another tokens.txt in"),
    ],
    ids=["checkpoint", "no checkpoint", "frontend", "tokens"],
)
def test_other_models_are_refused(artifact: Path, tmp_path: Path, change: Change, told: str) -> None:
    other = copied(artifact, tmp_path / "other", change)
    with pytest.raises(UsageError, match=f"{told} {other.root} than in {artifact}; export both from the same files"):
        side_by_side([read_manifest(artifact), other])


def test_wrong_choices_are_refused(artifact: Path, tmp_path: Path) -> None:
    plain, link = read_manifest(artifact), tmp_path / "link"
    link.symlink_to(artifact)
    other = copied(artifact, tmp_path / "other", lambda manifest: without(manifest, "onnxruntime"))
    with pytest.raises(UsageError, match=f"{link} twice"):
        side_by_side([plain, read_manifest(link)])
    with pytest.raises(UsageError, match=f"{other.root}: expected variants of openvino/fp32, found 'onnxruntime/fp32'"):
        side_by_side([plain, other], "onnxruntime/fp32")
    with pytest.raises(UsageError, match=f"expected onnxruntime/fp32 in {other.root}, which every artifact"):
        side_by_side([other, plain])


def test_models_in_words(artifact: Path) -> None:
    plain = read_manifest(artifact)
    lengths = replace(plain, provenance={**plain.provenance, "trained_lengths": {}})
    assert model_words(plain) == "as it was trained"
    assert model_words(lengths) == "with segments of 160 ms between 240 ms of left and 40 ms of right context"
    graphs = tuple(replace(one, inputs=tuple(map(in_int8, one.inputs))) for one in plain.graphs)
    small = converted(replace(plain, graphs=graphs), ranks=[], symbols=ORDER)
    assert model_words(small) == "with 16 neurons a layer, 33 symbols and an int8 cache"


def in_int8(tensor: TensorSpec) -> TensorSpec:
    return replace(tensor, dtype="int8") if tensor.name == "attention_cache" else tensor
