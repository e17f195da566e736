"""Build an artifact: three graphs for each backend, tokens, manifest; checked; then moved into place whole."""

import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emf.export.convert.drift import compare_models
from emf.export.convert.speech import Speech
from emf.export.graphs.cache_format import CACHE_DTYPES
from emf.export.graphs.graphs import Graph, make_graphs
from emf.export.model import CONVERSION, TRAINED_LENGTHS, SourceModel
from emf.export.parity.side_by_side import Progress
from emf.export.parity.verification import Verification, as_document
from emf.export.parity.verify import verify
from emf.export.parity.word_drift import WordDrift
from emf.export.replacing import replacing
from emf.export.to_onnx import DEFAULT_OPSET, write_onnx
from emf.export.to_openvino import write_openvino
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.files import describe_file
from emf.runtime.artifact.manifest import Geometry, GraphSpec, Manifest, PassSpec, Vocabulary
from emf.runtime.artifact.manifest_file import SCHEMA_VERSION, read_manifest, write_manifest
from emf.runtime.artifact.tokens import write_tokens
from emf.runtime.artifact.tool_versions import tool_versions
from emf.runtime.errors import UsageError
from emf.runtime.speech.utterances import Utterance

_LOGGER = logging.getLogger(__name__)

PRECISION = "fp32"
# Greatest deviation from PyTorch by the cache's format: float16 keeps 11 bits of values of a few units; with int8,
# PyTorch rounds likewise.
ATOL = {"float32": 1e-4, "float16": 1e-2, "int8": 1e-4}
DEFAULT_SEGMENTS = 8
_TOOLS = ("emformer-deploy", "torch", "torchaudio", "onnx", "onnxscript", "onnxruntime", "openvino")


@dataclass(frozen=True)
class ExportOptions:
    """What to write and how to check it.

    Attributes:
        backends: backends to write graphs for.
        opset: version of ONNX's operators.
        atol: greatest absolute deviation from PyTorch; `None` is `ATOL` of the cache's format.
        cache: format of the encoder's keys and values between two steps, a key of `CACHE_DTYPES`.
        samples: audio for the check, mono, at the model's rate.
        segments: segments of a stream that the encoder also takes in one pass; 1 is none.
        force: replace an existing artifact.
        progress: wraps the check's loop.
        transcribed: speech on which the words of a rounded cache are measured, unless a conversion's were.
    """

    backends: Sequence[str]
    samples: FloatArray
    opset: int = DEFAULT_OPSET
    atol: float | None = None
    cache: str = "float32"
    segments: int = DEFAULT_SEGMENTS
    force: bool = False
    progress: Progress = lambda steps, _: steps
    transcribed: Sequence[Utterance] = ()


def export_artifact(source: SourceModel, folder: Path, options: ExportOptions) -> tuple[Manifest, Verification]:
    """Export a model, check it against PyTorch, and put the artifact at `folder`.

    Nothing appears at `folder` before everything is written and checked.

    Raises:
        UsageError: `folder` exists and `force` is not set, or is something else than an artifact; or the cache's format
            does not go with the model.
        ToleranceError: a backend does not compute what PyTorch does.
    """
    check_cache(source.geometry, options.cache)
    with replacing(folder, options.force) as partial:
        manifest = write_files(source, partial, options)
        write_manifest(manifest, partial)
        atol = ATOL[options.cache] if options.atol is None else options.atol
        verification = verify(source, read_manifest(partial), options.samples, atol, options.progress)
        verification = replace(verification, words=_words(source, options))
        manifest = replace(manifest, results={"verify": as_document(verification)}, root=folder)
        write_manifest(manifest, partial)
    return manifest, verification


def _words(source: SourceModel, options: ExportOptions) -> Mapping[str, WordDrift] | None:
    """What whole units in the cache do to words; a conversion's are measured with them already."""
    if CACHE_DTYPES[options.cache].is_floating_point or source.conversion is not None or not options.transcribed:
        return None
    speech = Speech((), tuple(options.transcribed), "", 0.0)
    return compare_models(source, source, speech, options.cache).searches


def check_cache(geometry: Geometry, cache: str) -> None:
    """Refuse a format that the model's lengths do not go with.

    Raises:
        UsageError: no keys are kept, or not those of a whole segment, so that the check could not follow the roundings.
    """
    frames, left = geometry.frames_per_step, geometry.left_context_length
    if cache == "int8" and left < frames:
        raise UsageError(
            f"expected a left context of at least a segment of {frames} encoder frames for --cache int8, found {left}; "
            "leave --cache out: so little takes no memory to speak of"
        )


def write_files(source: SourceModel, root: Path, options: ExportOptions) -> Manifest:
    """Write tokens and graphs below `root`, and describe them; nothing is checked yet."""
    write_tokens(root / "tokens.txt", source.pieces.pieces)
    metadata = metadata_of(source)
    graphs: list[GraphSpec] = []
    for graph in make_graphs(source.rnnt, source.geometry, options.cache, options.segments, source.latents):
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            onnx_path = Path(scratch) / f"{graph.name}.onnx"
            write_onnx(graph, onnx_path, metadata, options.opset)
            for backend in options.backends:
                _LOGGER.info("writing %s for %s", graph.name, backend)
                target = root / backend / PRECISION
                target.mkdir(parents=True, exist_ok=True)
                files = _WRITERS[backend](onnx_path, target / graph.name, metadata)
                graphs.append(_describe(graph, backend, root, files, options.segments))
    provenance: dict[str, Any] = {
        "model": source.name,
        "checkpoint_sha256": source.checkpoint_sha256,
        "opset": options.opset,
    }
    if source.conversion is not None:
        provenance[CONVERSION] = source.conversion
    if source.trained is not None:
        provenance[TRAINED_LENGTHS] = source.trained.as_document()
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
        provenance=provenance,
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


def _describe(graph: Graph, backend: str, root: Path, files: Sequence[Path], segments: int) -> GraphSpec:
    inputs, outputs = graph.specs(graph.inputs)
    return GraphSpec(
        name=graph.name,
        backend=backend,
        precision=PRECISION,
        files=tuple(describe_file(root, path) for path in files),
        inputs=inputs,
        outputs=outputs,
        states=graph.states,
        passes=PassSpec(segments, *graph.specs(graph.wide_inputs)) if graph.wide_inputs else None,
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
