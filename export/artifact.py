"""Build an artifact: three graphs for each engine, tokens, manifest; checked; then moved into place whole."""

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from emf.export.graphs.graphs import Graph, make_graphs
from emf.export.model import SourceModel
from emf.export.parity.verify import Progress, Verification, verify
from emf.export.to_onnx import DEFAULT_OPSET, write_onnx
from emf.export.to_openvino import write_openvino
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.files import describe_file
from emf.runtime.artifact.manifest import GraphSpec, Manifest, Vocabulary
from emf.runtime.artifact.manifest_file import MANIFEST_NAME, SCHEMA_VERSION, read_manifest, write_manifest
from emf.runtime.artifact.tokens import write_tokens
from emf.runtime.artifact.tool_versions import tool_versions
from emf.runtime.errors import UsageError

_LOGGER = logging.getLogger(__name__)

PRECISION = "fp32"
# Greatest deviation from PyTorch by the cache's precision: float16 keeps 11 bits of values of a few units.
ATOL = {"float32": 1e-4, "float16": 1e-2}
_CACHE_DTYPES = {"float32": torch.float32, "float16": torch.float16}
_TOOLS = ("emformer-deploy", "torch", "torchaudio", "onnx", "onnxscript", "onnxruntime", "openvino")


@dataclass(frozen=True)
class ExportOptions:
    """What to write and how to check it.

    Attributes:
        backends: engines to write graphs for.
        opset: version of ONNX's operators.
        atol: greatest absolute deviation from PyTorch; `None` is `ATOL` of the cache's precision.
        cache: precision of the encoder's keys and values between two steps, a key of `ATOL`.
        samples: audio for the check, mono, at the model's rate.
        force: replace an existing artifact.
        progress: wraps the check's loop.
    """

    backends: Sequence[str]
    samples: FloatArray
    opset: int = DEFAULT_OPSET
    atol: float | None = None
    cache: str = "float32"
    force: bool = False
    progress: Progress = lambda steps, _: steps


def export_artifact(source: SourceModel, folder: Path, options: ExportOptions) -> tuple[Manifest, Verification]:
    """Export a model, check it against PyTorch, and put the artifact at `folder`.

    Nothing appears at `folder` before everything is written and checked.

    Raises:
        UsageError: `folder` exists and `force` is not set, or is something else than an artifact.
        ToleranceError: an engine does not compute what PyTorch does.
    """
    with replacing(folder, options.force) as partial:
        manifest = _write_files(source, partial, options)
        write_manifest(manifest, partial)
        atol = ATOL[options.cache] if options.atol is None else options.atol
        verification = verify(source, read_manifest(partial), options.samples, atol, options.progress)
        manifest = replace(manifest, results={"verify": as_document(verification)}, root=folder)
        write_manifest(manifest, partial)
    return manifest, verification


@contextmanager
def replacing(folder: Path, force: bool) -> Iterator[Path]:
    """A new folder beside `folder` that takes its place if the block succeeds and vanishes if not."""
    if folder.exists():
        if not force:
            raise UsageError(f"{folder} exists; pass --force to replace it, or another --out")
        if not folder.is_dir() or (any(folder.iterdir()) and not _is_artifact(folder)):
            raise UsageError(f"{folder} is not an artifact and stays as it is; pass another --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"{folder}: cannot write there ({error.strerror}); pass another --out") from error
    try:
        partial.chmod(0o755)
        yield partial
        old = partial.with_suffix(".old")
        try:
            if folder.exists():
                folder.replace(old)
            partial.replace(folder)
        except BaseException:
            if old.exists() and not folder.exists():
                old.replace(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_artifact(folder: Path) -> bool:
    """Whether a manifest lies there, of any schema; others than ours have files of that name, too."""
    try:
        document = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"schema_version", "graphs"} <= document.keys()


def _write_files(source: SourceModel, root: Path, options: ExportOptions) -> Manifest:
    write_tokens(root / "tokens.txt", source.pieces.pieces)
    metadata = metadata_of(source)
    graphs: list[GraphSpec] = []
    for graph in make_graphs(source.rnnt, source.geometry, _CACHE_DTYPES[options.cache]):
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            onnx_path = Path(scratch) / f"{graph.name}.onnx"
            write_onnx(graph, onnx_path, metadata, options.opset)
            for backend in options.backends:
                _LOGGER.info("writing %s for %s", graph.name, backend)
                target = root / backend / PRECISION
                target.mkdir(parents=True, exist_ok=True)
                files = _WRITERS[backend](onnx_path, target / graph.name, metadata)
                graphs.append(_describe(graph, backend, root, files))
    return Manifest(
        geometry=source.geometry,
        frontend=source.frontend,
        vocabulary=Vocabulary(
            file=describe_file(root, root / "tokens.txt"),
            blank_id=source.geometry.num_symbols - 1,
            hidden_ids=source.pieces.hidden_ids,
        ),
        graphs=tuple(graphs),
        tool_versions=tool_versions(_TOOLS),
        provenance={"model": source.name, "checkpoint_sha256": source.checkpoint_sha256, "opset": options.opset},
        confidence=source.confidence,
    )


def _copy_onnx(onnx_path: Path, target: Path, _: Mapping[str, str]) -> list[Path]:
    return [Path(shutil.copyfile(onnx_path, target.with_suffix(".onnx")))]


def _convert_openvino(onnx_path: Path, target: Path, metadata: Mapping[str, str]) -> list[Path]:
    return write_openvino(onnx_path, target.with_suffix(".xml"), metadata)


_WRITERS: dict[str, Callable[[Path, Path, Mapping[str, str]], list[Path]]] = {
    "onnxruntime": _copy_onnx,
    "openvino": _convert_openvino,
}


def _describe(graph: Graph, backend: str, root: Path, files: Sequence[Path]) -> GraphSpec:
    return GraphSpec(
        name=graph.name,
        backend=backend,
        precision=PRECISION,
        files=tuple(describe_file(root, path) for path in files),
        inputs=graph.input_specs(),
        outputs=graph.output_specs(),
        states=graph.states,
    )


def metadata_of(source: SourceModel) -> dict[str, str]:
    """Essentials that also go into every graph file, so that it can be told what it belongs to."""
    geometry, frontend = source.geometry, source.frontend
    return {
        "model_type": "emformer-rnnt",
        "schema_version": str(SCHEMA_VERSION),
        "blank_id": str(geometry.num_symbols - 1),
        "vocab_size": str(geometry.num_symbols),
        "segment_length": str(geometry.segment_length),
        "right_context_length": str(geometry.right_context_length),
        "left_context_length": str(geometry.left_context_length),
        "memory_size": str(geometry.max_memory_size),
        "subsampling_factor": str(geometry.subsampling_factor),
        "encoder_dim": str(geometry.encoding_dim),
        "sample_rate": str(frontend.sample_rate),
        "n_mels": str(frontend.n_mels),
        "checkpoint_sha256": source.checkpoint_sha256,
    }


def as_document(verification: Verification) -> dict[str, object]:
    """The check's outcome as it stands in the manifest and in `--json`."""
    return {
        "seconds": verification.seconds,
        "chunks": verification.chunks,
        "tokens": verification.num_tokens,
        "tokens_equal": verification.tokens_equal,
        "score_error": verification.score_error,
        "ties": [asdict(tie) for tie in verification.ties],
        "max_abs_error": {name: deviations.worst() for name, deviations in verification.deviations.items()},
        "max_abs_error_by_tensor": {name: dict(d.by_tensor) for name, d in verification.deviations.items()},
        **({"waveform": [asdict(found) for found in verification.waveforms]} if verification.waveforms else {}),
    }
