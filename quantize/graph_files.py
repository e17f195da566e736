"""What a graph file holds, whichever engine it is for. Engines' packages are imported when needed."""

import importlib
from collections.abc import Mapping
from pathlib import Path

from emf.runtime.errors import ArtifactError, MissingDependency
from emf.runtime.manifest import GraphSpec, Manifest

_READERS = {"onnxruntime": "emf.quantize.onnx_graphs", "openvino": "emf.quantize.openvino_graphs"}
LOW_PRECISION = ("int8", "uint8", "int4", "uint4")


def weight_bytes(manifest: Manifest, graph: GraphSpec) -> Mapping[str, int]:
    """Bytes of a graph's constants by element type, such as `float32`, `int8`, `int4`.

    Raises:
        MissingDependency: the package that reads this format is not installed.
    """
    path: Path = manifest.path(graph.files[0])
    try:
        reader = importlib.import_module(_READERS[graph.backend])
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"reading {path.name} needs the package {error.name}; run: pip install 'emformer-deploy[quantize]'"
        ) from error
    result: Mapping[str, int] = reader.weight_bytes(path)
    return result


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
