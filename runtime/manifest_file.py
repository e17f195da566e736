"""`manifest.json` on disk: written atomically, validated field by field when read."""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

from emf.runtime.errors import ArtifactError, ArtifactNotFound
from emf.runtime.fields import Fields
from emf.runtime.manifest import (
    GRAPH_NAMES,
    FileSpec,
    Frontend,
    Geometry,
    GraphSpec,
    Manifest,
    StateSpec,
    TensorSpec,
    Vocabulary,
)

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 16 * 2**20
MAX_DIMENSION = 2**24


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe_file(root: Path, path: Path) -> FileSpec:
    """The manifest's entry for a file below `root`."""
    return FileSpec(path.relative_to(root).as_posix(), path.stat().st_size, sha256_of(path))


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write `manifest.json` into `folder`, atomically."""
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "blank_id": manifest.vocabulary.blank_id}
    document |= {key: value for key, value in asdict(manifest).items() if key != "root"}
    target = folder / MANIFEST_NAME
    partial = target.with_suffix(".json.partial")
    partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(target)
    return target


def read_manifest(folder: str | Path) -> Manifest:
    """Read and validate `manifest.json`; check that every file is there with its size.

    Contents are compared with their checksums when a graph is opened (`verify_file`).

    Raises:
        ArtifactNotFound: the folder, the manifest or a file of it is missing.
        ArtifactError: the manifest is damaged, inconsistent, or of another schema.
    """
    root = Path(folder)
    path = root / MANIFEST_NAME
    if not path.is_file():
        raise ArtifactNotFound(f"{root}: expected a folder with {MANIFEST_NAME}; make one with emf-export")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"{path}: {path.stat().st_size} bytes are too many for a manifest; export the model again")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ArtifactError(f"{path}: expected JSON, but {error}; export the model again") from error
    manifest = replace(_parse(Fields(document, str(path))), root=root)
    for file in manifest.files():
        _check_present(manifest.path(file), file)
    return manifest


def verify_file(path: Path, file: FileSpec) -> None:
    """Compare a file with the manifest.

    Raises:
        ArtifactNotFound: the file is missing.
        ArtifactError: size or checksum differ.
    """
    _check_present(path, file)
    found = sha256_of(path)
    if found != file.sha256:
        raise ArtifactError(f"{path}: SHA-256 is {found[:12]}…, the manifest says {file.sha256[:12]}…; export it again")


def _check_present(path: Path, file: FileSpec) -> None:
    if not path.is_file():
        raise ArtifactNotFound(f"{path}: the manifest names this file, but it is missing; export the model again")
    if path.stat().st_size != file.bytes:
        raise ArtifactError(
            f"{path}: expected {file.bytes} bytes, found {path.stat().st_size}; the file is truncated or changed, "
            "export the model again"
        )


def _parse(fields: Fields) -> Manifest:
    version = fields.integer("schema_version")
    if version != SCHEMA_VERSION:
        advice = "install a newer emformer-deploy" if version > SCHEMA_VERSION else "export the model again"
        raise ArtifactError(f"{fields.where}: expected schema version {SCHEMA_VERSION}, found {version}; {advice}")
    manifest = Manifest(
        geometry=_parse_geometry(fields.fields("geometry")),
        frontend=_parse_frontend(fields.fields("frontend")),
        vocabulary=_parse_vocabulary(fields.fields("vocabulary")),
        graphs=tuple(_parse_graph(graph) for graph in fields.list_of_fields("graphs")),
        tool_versions=fields.mapping("tool_versions"),
        provenance=fields.mapping("provenance"),
        results=fields.mapping("results"),
        blank_penalties=_parse_blank_penalties(fields),
    )
    _check_consistency(manifest, fields)
    return manifest


def _parse_blank_penalties(fields: Fields) -> dict[str, float]:
    """Optional: artifacts without quantized variants have none."""
    if not fields.has("blank_penalties"):
        return {}
    names = fields.mapping("blank_penalties")
    penalties = fields.fields("blank_penalties")
    return {name: penalties.number(name, -100.0, 100.0) for name in names}


def _parse_geometry(fields: Fields) -> Geometry:
    sizes = {name: fields.integer(name, 0, MAX_DIMENSION) for name in Geometry.__dataclass_fields__}
    for name in ("input_dim", "segment_length", "subsampling_factor", "encoding_dim", "num_symbols"):
        fields.require(sizes[name] > 0, f"{name} must be positive")
    fields.require(sizes["segment_length"] >= sizes["subsampling_factor"], "a segment must give at least one frame")
    return Geometry(**sizes)


def _parse_frontend(fields: Fields) -> Frontend:
    n_mels = fields.integer("n_mels", 1, 4096)
    frontend = Frontend(
        sample_rate=fields.integer("sample_rate", 1000, 768_000),
        n_fft=fields.integer("n_fft", 2, 65_536),
        hop_length=fields.integer("hop_length", 1, 65_536),
        n_mels=n_mels,
        mean=fields.numbers("mean", n_mels),
        invstddev=fields.numbers("invstddev", n_mels),
        default=fields.choice("default", ("windowed", "continuous")),
        tail_padding=fields.number("tail_padding", 0.0, 60.0),
    )
    fields.require(frontend.hop_length <= frontend.n_fft, "hop_length must not exceed n_fft")
    return frontend


def _parse_vocabulary(fields: Fields) -> Vocabulary:
    return Vocabulary(
        file=_parse_file(fields.fields("file")),
        blank_id=fields.integer("blank_id", 0, MAX_DIMENSION),
        hidden_ids=fields.integers("hidden_ids"),
    )


def _parse_file(fields: Fields) -> FileSpec:
    path = PurePosixPath(fields.text("path"))
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in str(path) and path.parts
    fields.require(bool(inside), f"path {str(path)!r} must stay inside the artifact")
    return FileSpec(str(path), fields.integer("bytes", 0, 2**40), fields.text("sha256"))


def _parse_tensor(fields: Fields) -> TensorSpec:
    return TensorSpec(fields.text("name"), fields.text("dtype"), fields.shape("shape", MAX_DIMENSION))


def _parse_state(fields: Fields) -> StateSpec:
    update = fields.choice("update", ("replace", "ring"))
    return StateSpec(fields.text("input"), fields.text("output"), update, fields.integer("axis", 0, 8))


def _parse_graph(fields: Fields) -> GraphSpec:
    graph = GraphSpec(
        name=fields.choice("name", GRAPH_NAMES),
        backend=fields.text("backend"),
        precision=fields.text("precision"),
        files=tuple(_parse_file(file) for file in fields.list_of_fields("files")),
        inputs=tuple(_parse_tensor(tensor) for tensor in fields.list_of_fields("inputs")),
        outputs=tuple(_parse_tensor(tensor) for tensor in fields.list_of_fields("outputs")),
        states=tuple(_parse_state(state) for state in fields.list_of_fields("states")),
        properties={key: str(value) for key, value in fields.mapping("properties").items()},
    )
    inputs = {tensor.name for tensor in graph.inputs}
    outputs = {tensor.name for tensor in graph.outputs}
    known = all(state.input in inputs and state.output in outputs for state in graph.states)
    fields.require(known and bool(graph.files), "states must name inputs and outputs, and a graph needs a file")
    return graph


def _check_consistency(manifest: Manifest, fields: Fields) -> None:
    geometry, frontend = manifest.geometry, manifest.frontend
    fields.require(frontend.n_mels == geometry.input_dim, "frontend.n_mels must equal geometry.input_dim")
    fields.require(manifest.vocabulary.blank_id < geometry.num_symbols, "blank_id must be below num_symbols")
    for variant in manifest.variants:
        names = [graph.name for graph in manifest.graphs if f"{graph.backend}/{graph.precision}" == variant]
        fields.require(sorted(names) == sorted(GRAPH_NAMES), f"variant {variant} must hold each of {GRAPH_NAMES} once")
