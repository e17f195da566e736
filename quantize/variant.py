"""Add a variant to an artifact: all of its graphs written, checked and entered in the manifest, or nothing."""

import logging
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emf.quantize.calibration import CalibrationSet
from emf.quantize.compress import check_supported, compress, engine_properties
from emf.quantize.graphs.check import check_graph
from emf.quantize.graphs.files import require_float, weight_bytes
from emf.quantize.recipe import Recipe
from emf.runtime.arrays import Arrays
from emf.runtime.artifact.files import describe_file
from emf.runtime.artifact.manifest import GRAPH_NAMES, GraphSpec, Manifest
from emf.runtime.artifact.manifest_file import read_manifest, write_manifest
from emf.runtime.artifact.tool_versions import tool_versions
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.errors import ArtifactError, UsageError

_LOGGER = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_TOOLS = ("emformer-deploy", "nncf", "onnx", "onnxruntime", "openvino")
PROVENANCE = "variants"


@dataclass(frozen=True, slots=True)
class VariantRequest:
    """A variant to make.

    Attributes:
        name: of the folder and in the manifest.
        recipe: how its graphs are quantized; those left at fp32 share the float variant's files.
        backends: backends to make it for.
        blank_penalty: that decoding takes by default, where quantization made it delete words.
        notes: JSON document kept with it in the manifest, such as why `auto` chose it.
    """

    name: str
    recipe: Recipe
    backends: Sequence[str]
    blank_penalty: float = 0.0
    notes: Mapping[str, Any] = field(default_factory=dict)


def check_request(manifest: Manifest, request: VariantRequest) -> None:
    """Refuse what cannot be made, before any work is done.

    Raises:
        UsageError: a bad name, one that exists, or a precision that a backend does not have.
        ArtifactError: the artifact has no float variant for a backend, or it is quantized already.
    """
    if not _NAME.fullmatch(request.name):
        raise UsageError(f"expected a variant name of letters, digits and . _ + -, found {request.name!r}")
    for backend in request.backends:
        if Variant(backend, request.name) in manifest.variants:
            raise UsageError(f"{manifest.root}: variant {backend}/{request.name} exists; pass another --name")
        sources = manifest.variant(Variant(backend, FLOAT))
        for name in GRAPH_NAMES:
            check_supported(backend, request.recipe.graphs[name].precision)
            require_float(manifest, sources[name])


def add_variant(
    root: Path, request: VariantRequest, calibration: CalibrationSet | None, progress: Iterable[Any] | None = None
) -> Manifest:
    """Make a variant for every backend asked for and enter it in the manifest.

    Nothing of it is in the artifact before all of it is written and checked.

    Args:
        root: folder of the artifact.
        request: what to make.
        calibration: recorded inputs; needed for `int8`, and otherwise to measure with.
        progress: advanced by one for every graph, if given.

    Returns:
        The new manifest.

    Raises:
        UsageError, ArtifactError: see `check_request`; or a graph written does not fit its specification.
    """
    manifest = read_manifest(root)
    check_request(manifest, request)
    steps = iter(progress or ())
    with _partial_folder(root, request) as partial:
        graphs: list[GraphSpec] = []
        measured: dict[str, dict[str, Any]] = {}
        for backend in request.backends:
            for name in GRAPH_NAMES:
                next(steps, None)
                source = manifest.variant(Variant(backend, FLOAT))[name]
                samples = () if calibration is None else calibration.samples[name]
                graph = _make_graph(manifest, source, request, partial, samples)
                graphs.append(graph)
                written = replace(manifest, root=partial) if graph.files != source.files else manifest
                measured.setdefault(backend, {})[name] = {
                    "weight_bytes": dict(weight_bytes(written, graph)),
                    "signal_to_noise_db": check_graph(manifest, source, written, graph, samples),
                }
        return _install(root, request, partial, graphs, _describe(request, calibration, measured))


def _make_graph(
    manifest: Manifest, source: GraphSpec, request: VariantRequest, partial: Path, samples: Sequence[Arrays]
) -> GraphSpec:
    recipe = request.recipe.graphs[source.name]
    properties = engine_properties(source.backend, recipe)
    if recipe.precision == FLOAT:
        return replace(source, precision=request.name, properties=properties)
    path = manifest.path(source.files[0])
    target = partial / source.backend / request.name / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    _LOGGER.info("%s: %s for %s", source.name, recipe.precision, source.backend)
    files = compress(source.backend, path, target, recipe, samples)
    described = tuple(describe_file(partial, file) for file in files)
    return replace(source, precision=request.name, files=described, properties=properties)


def _describe(
    request: VariantRequest, calibration: CalibrationSet | None, measured: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """The manifest's record of how each backend's variant came about."""
    common: dict[str, Any] = {
        "recipe": request.recipe.to_document(),
        "calibration": None if calibration is None else calibration.description,
        # Scales are static, or of one row each: what else is in the batch cannot matter.
        "batch_invariant": True,
        "tool_versions": tool_versions(_TOOLS),
        **request.notes,
    }
    return {str(Variant(backend, request.name)): common | {"graphs": graphs} for backend, graphs in measured.items()}


@contextmanager
def _partial_folder(root: Path, request: VariantRequest) -> Iterator[Path]:
    """A folder inside the artifact, on the same disk, that vanishes at the end."""
    try:
        partial = Path(tempfile.mkdtemp(prefix=f".{request.name}.", suffix=".partial", dir=root))
    except OSError as error:
        raise UsageError(f"{root}: cannot write there ({error.strerror}); copy the artifact elsewhere") from error
    try:
        partial.chmod(0o755)
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _install(
    root: Path, request: VariantRequest, partial: Path, graphs: Sequence[GraphSpec], records: Mapping[str, Any]
) -> Manifest:
    """Move the folders into place and enter them in the manifest; undo the moves if that fails."""
    manifest = read_manifest(root)
    if any(Variant.parse(record) in manifest.variants for record in records):
        raise ArtifactError(f"{root}: another run added variant {request.name} meanwhile; pass another --name")
    moved: list[Path] = []
    try:
        for folder in sorted(partial.glob(f"*/{request.name}")):
            target = root / folder.parent.name / request.name
            shutil.rmtree(target, ignore_errors=True)  # left by a run that was killed: the manifest does not know it
            moved.append(target)
            folder.replace(target)
        known = manifest.provenance.get(PROVENANCE, {})
        penalties = dict.fromkeys(records, request.blank_penalty) if request.blank_penalty else {}
        manifest = replace(
            manifest,
            graphs=(*manifest.graphs, *graphs),
            provenance={**manifest.provenance, PROVENANCE: {**known, **records}},
            blank_penalties={**manifest.blank_penalties, **penalties},
        )
        write_manifest(manifest, root)
    except BaseException:
        for target in moved:
            shutil.rmtree(target, ignore_errors=True)
        raise
    return manifest
