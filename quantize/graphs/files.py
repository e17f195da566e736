"""What a graph file holds, whichever backend it is for. Backends' packages are imported when needed."""

import importlib
from collections.abc import Mapping
from typing import Any

from emf.runtime.artifact.manifest import GraphSpec, Manifest
from emf.runtime.errors import ArtifactError, MissingDependency

_READERS = {"onnxruntime": "emf.quantize.graphs.onnx", "openvino": "emf.quantize.graphs.openvino"}
LOW_PRECISION = ("int8", "uint8", "int4", "uint4")


def weight_bytes(manifest: Manifest, graph: GraphSpec) -> Mapping[str, int]:
    """Bytes of a graph's constants by element type, such as `float32`, `int8`, `int4`.

    Raises:
        MissingDependency: the package that reads this format is not installed.
    """
    result: Mapping[str, int] = _reader(graph).weight_bytes(manifest.path(graph.files[0]))
    return result


def layer_count(manifest: Manifest, graph: GraphSpec) -> int:
    """How many products with a constant matrix the graph has."""
    reader = _reader(graph)
    return len(reader.weight_layers(reader.read_graph(manifest.path(graph.files[0]))))


def _reader(graph: GraphSpec) -> Any:
    try:
        return importlib.import_module(_READERS[graph.backend])
    except ModuleNotFoundError as error:
        raise MissingDependency.of(f"reading a graph for {graph.backend}", error.name, "quantize") from error


def require_float(manifest: Manifest, graph: GraphSpec) -> None:
    """Refuse to quantize what is quantized already.

    Raises:
        ArtifactError: the graph's weights have 8 bits or less.
    """
    found = weight_bytes(manifest, graph)
    low = sum(found.get(kind, 0) for kind in LOW_PRECISION)
    if 2 * low > sum(found.values()):
        raise ArtifactError(
            f"{manifest.root}: expected float weights in {graph.backend}/{graph.precision}, but {graph.name} is "
            "quantized already; export the model again and quantize that artifact"
        )
