"""Write a graph as OpenVINO IR."""

from collections.abc import Mapping
from pathlib import Path

import openvino


def write_openvino(onnx_path: Path, path: Path, metadata: Mapping[str, str]) -> list[Path]:
    """Convert an exported ONNX graph, so that both backends run the same one.

    Args:
        onnx_path: the graph as ONNX.
        path: the `.xml` file to write; its `.bin` comes beside it.
        metadata: stored as `rt_info` under `emf`.

    Returns:
        The files written.
    """
    model = openvino.convert_model(str(onnx_path))
    for name, value in metadata.items():
        model.set_rt_info(value, ["emf", name])
    openvino.save_model(model, str(path), compress_to_fp16=False)
    return [path, path.with_suffix(".bin")]
