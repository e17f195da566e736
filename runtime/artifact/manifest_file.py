"""`manifest.json` on disk: written atomically, validated field by field when read."""

import json
import math
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

from emf.runtime.artifact.confidence import MAX_OFFSET, MAX_SLOPE, MIN_SLOPE, ConfidenceCurve
from emf.runtime.artifact.files import check_present, write_whole
from emf.runtime.artifact.json_fields import JsonFields, read_json_fields
from emf.runtime.artifact.manifest import (
    GRAPH_NAMES,
    FileSpec,
    Frontend,
    Geometry,
    GraphSpec,
    Manifest,
    PassSpec,
    Shape,
    StateSpec,
    TensorSpec,
    Vocabulary,
)
from emf.runtime.errors import ArtifactError, ArtifactNotFound, require

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 16 * 2**20
MAX_DIMENSION = 2**24
MAX_ELEMENTS = 2**28
MAX_PATH_BYTES = 255
DTYPES = ("float32", "float16", "int8", "int64", "int32")
MAX_SEGMENTS = 64


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write `manifest.json` into `folder`, atomically."""
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "blank_id": manifest.vocabulary.blank_id}
    document |= {key: value for key, value in asdict(manifest).items() if key != "root"}
    target = folder / MANIFEST_NAME
    return write_whole(target, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_manifest(folder: str | Path) -> Manifest:
    """Read and validate `manifest.json`; check that every file is there with its size.

    Contents are compared with their checksums when they are read (`read_verified`).

    Raises:
        ArtifactNotFound: the folder, the manifest or a file of it is missing.
        ArtifactError: the manifest is damaged, inconsistent, or of another schema.
    """
    require(folder, (str, PathLike), "the path of an artifact")
    root = Path(folder)
    path = root / MANIFEST_NAME
    if not path.is_file():
        raise ArtifactNotFound(f"{root}: expected a folder with {MANIFEST_NAME}; make one with emf-export")
    fields = read_json_fields(path, MAX_MANIFEST_BYTES, ArtifactError, "export the model again")
    manifest = replace(_parse(fields), root=root)
    for file in manifest.files():
        check_present(manifest.path(file), file)
    return manifest


def _parse(fields: JsonFields) -> Manifest:
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
        confidence=_parse_confidence(fields),
    )
    _check_consistency(manifest, fields)
    return manifest


def _parse_blank_penalties(fields: JsonFields) -> dict[str, float]:
    """Optional: artifacts without quantized variants have none."""
    if not fields.has("blank_penalties"):
        return {}
    names = fields.mapping("blank_penalties")
    penalties = fields.fields("blank_penalties")
    return {name: penalties.number(name, -100.0, 100.0) for name in names}


def _parse_confidence(fields: JsonFields) -> ConfidenceCurve | None:
    """Optional: `emf-confidence` writes it."""
    if not fields.has("confidence") or fields.is_null("confidence"):
        return None
    curve = fields.fields("confidence")
    return ConfidenceCurve(curve.number("slope", MIN_SLOPE, MAX_SLOPE), curve.number("offset", -MAX_OFFSET, MAX_OFFSET))


def _parse_geometry(fields: JsonFields) -> Geometry:
    sizes = {name: fields.integer(name, 0, MAX_DIMENSION) for name in Geometry.__dataclass_fields__}
    for name in ("input_dim", "segment_length", "subsampling_factor", "encoding_dim", "num_symbols"):
        fields.require(sizes[name] > 0, f"{name} must be positive")
    fields.require(sizes["segment_length"] >= sizes["subsampling_factor"], "a segment must give at least one frame")
    return Geometry(**sizes)


def _parse_frontend(fields: JsonFields) -> Frontend:
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


def _parse_vocabulary(fields: JsonFields) -> Vocabulary:
    return Vocabulary(
        file=_parse_file(fields.fields("file")),
        blank_id=fields.integer("blank_id", 0, MAX_DIMENSION),
        hidden_ids=fields.integers("hidden_ids"),
    )


def _parse_file(fields: JsonFields) -> FileSpec:
    path = PurePosixPath(fields.text("path"))
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in str(path) and path.parts
    usable = len(str(path).encode("utf-8", "replace")) <= MAX_PATH_BYTES
    fields.require(bool(inside) and usable, f"path {str(path)!r:.80} must stay inside the artifact and be short")
    return FileSpec(str(path), fields.integer("bytes", 0, 2**40), fields.text("sha256"))


def _parse_tensor(fields: JsonFields) -> TensorSpec:
    shape = fields.shape("shape", MAX_DIMENSION)
    elements = math.prod(size for size in shape if size is not None)
    fields.require(elements <= MAX_ELEMENTS, f"shape {shape} has more than {MAX_ELEMENTS} elements")
    return TensorSpec(fields.text("name"), fields.choice("dtype", DTYPES), shape)


def _parse_tensors(fields: JsonFields, key: str) -> tuple[TensorSpec, ...]:
    return tuple(_parse_tensor(tensor) for tensor in fields.list_of_fields(key))


def _parse_passes(fields: JsonFields) -> PassSpec | None:
    """Optional: artifacts of `--segments 1`, and those of before, have none."""
    if not fields.has("passes") or fields.is_null("passes"):
        return None
    passes = fields.fields("passes")
    segments = passes.integer("segments", 2, MAX_SEGMENTS)
    return PassSpec(segments, _parse_tensors(passes, "inputs"), _parse_tensors(passes, "outputs"))


def _parse_state(fields: JsonFields) -> StateSpec:
    update = fields.choice("update", ("replace", "ring"))
    rows = fields.text("rows") if fields.has("rows") and not fields.is_null("rows") else None
    return StateSpec(fields.text("input"), fields.text("output"), update, fields.integer("axis", 0, 8), rows)


def _parse_graph(fields: JsonFields) -> GraphSpec:
    graph = GraphSpec(
        name=fields.choice("name", GRAPH_NAMES),
        backend=fields.text("backend"),
        precision=fields.text("precision"),
        files=tuple(_parse_file(file) for file in fields.list_of_fields("files")),
        inputs=_parse_tensors(fields, "inputs"),
        outputs=_parse_tensors(fields, "outputs"),
        states=tuple(_parse_state(state) for state in fields.list_of_fields("states")),
        properties={key: str(value) for key, value in fields.mapping("properties").items()},
        passes=_parse_passes(fields),
    )
    inputs = {tensor.name: tensor.shape for tensor in graph.inputs}
    outputs = {tensor.name: tensor.shape for tensor in graph.outputs}
    fields.require(bool(graph.files), "a graph needs a file")
    for state in graph.states:
        message = f"state {state.input!r} must name an input and an output that fits it"
        fields.require(_fits(state, inputs.get(state.input, ()), outputs.get(state.output, ())), message)
        by_row = not state.rows or (inputs[state.input][0] is None and inputs.get(state.rows) == (None,))
        fields.require(by_row, f"state {state.input!r} has its rows on axis 0, and an input that names them")
    return graph


def _fits(state: StateSpec, given: Shape, new: Shape) -> bool:
    """Whether the output can take the input's place, or for a ring a part of it."""
    if len(given) != len(new) or not given or (state.update == "ring" and not _is_sized(given, state.axis)):
        return False
    return all(
        old == size or (state.update == "ring" and axis == state.axis and (size or 0) <= (old or 0))
        for axis, (old, size) in enumerate(zip(given, new, strict=True))
    )


def _is_sized(shape: Shape, axis: int) -> bool:
    """Whether the tensor has this axis, and it is not the batch."""
    return axis < len(shape) and shape[axis] is not None


def _check_consistency(manifest: Manifest, fields: JsonFields) -> None:
    geometry, frontend = manifest.geometry, manifest.frontend
    fields.require(frontend.n_mels == geometry.input_dim, "frontend.n_mels must equal geometry.input_dim")
    fields.require(manifest.vocabulary.blank_id < geometry.num_symbols, "blank_id must be below num_symbols")
    fields.require(bool(manifest.graphs), "an artifact needs graphs")
    for graph in manifest.graphs:
        _check_tensors(graph, geometry, fields)
    for variant in manifest.variants:
        names = [graph.name for graph in manifest.graphs if graph.variant == variant]
        fields.require(sorted(names) == sorted(GRAPH_NAMES), f"variant {variant} must hold each of {GRAPH_NAMES} once")


def _check_tensors(graph: GraphSpec, geometry: Geometry, fields: JsonFields) -> None:
    """Compare what the runtime feeds and reads with the geometry; every other input must be a state."""
    dim = geometry.encoding_dim
    step, frames = (None, geometry.step_length, geometry.input_dim), (None, geometry.frames_per_step, dim)
    expected: dict[str, tuple[dict[str, Shape], dict[str, Shape]]] = {
        "encoder": ({"features": step}, {"encoding": frames}),
        "predictor": ({"token": (None,)}, {"prediction": (None, dim)}),
        "joiner": (
            {"encoding": (None, dim), "prediction": (None, dim), "temperature": (None,)},
            {"blank_log_prob": (None,), "logits": (None, geometry.num_symbols - 1), "log_normalizer": (None,)},
        ),
    }
    inputs, outputs = expected[graph.name]
    shapes = {tensor.name: tensor.shape for tensor in (*graph.inputs, *graph.outputs)}
    for name, shape in (inputs | outputs).items():
        fields.require(shapes.get(name) == shape, f"{graph.name}: {name} must have shape {shape}")
    rows = {state.rows for state in graph.states if state.rows}
    found, wanted = sorted(t.name for t in graph.inputs), sorted([*inputs, *(s.input for s in graph.states), *rows])
    fields.require(found == wanted, f"{graph.name}: expected the inputs {wanted}, found {found}")
    if graph.passes is not None:
        _check_passes(graph, graph.passes, fields)
    fields.require(graph.name != "predictor" or len(graph.states) == 1, "the predictor must have one state")


def _check_passes(graph: GraphSpec, passes: PassSpec, fields: JsonFields) -> None:
    """A pass must take and give what so many steps do: features and encodings of that length, and the same states."""
    fields.require(graph.name == "encoder", f"passes belong to the encoder, not to the {graph.name}")
    rings = {state.output: state for state in graph.states if state.update == "ring"}
    states = {name for state in graph.states for name in (state.input, state.output, state.rows)} - set(rings)
    sizes = {tensor.name: tensor.shape for tensor in graph.inputs}
    for single, wide in ((graph.inputs, passes.inputs), (graph.outputs, passes.outputs)):
        kinds = [(tensor.name, tensor.dtype, len(tensor.shape)) for tensor in wide]
        expected = [(tensor.name, tensor.dtype, len(tensor.shape)) for tensor in single]
        fields.require(kinds == expected, f"{graph.name}: passes must have the tensors {expected}")
        for one, many in zip(single, wide, strict=True):
            shape, ring = list(one.shape), rings.get(one.name)
            axis = None if one.name in states else 1 if ring is None else ring.axis
            if axis is not None:
                shape[axis] = (shape[axis] or 0) * passes.segments
            if axis is not None and ring is not None:
                capacity, found = sizes[ring.input][axis] or 0, many.shape[axis] or 0
                shape[axis] = max(min(shape[axis] or 0, capacity), found)
            fields.require(many.shape == tuple(shape), f"{graph.name}: {one.name} of passes must have shape {shape}")
