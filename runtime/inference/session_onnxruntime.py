"""Graphs in ONNX Runtime, on its CPU provider. The only importer of onnxruntime."""

from collections.abc import Sequence

import onnxruntime

from emf.runtime.arrays import Array, Arrays
from emf.runtime.errors import ArtifactError
from emf.runtime.inference.session import SessionOptions


class OnnxRuntimeSession:
    """One ONNX graph; `InferenceSession.run` may be called from several threads."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    @property
    def precision(self) -> str:
        """ONNX Runtime's CPU provider computes what the graph says: float32 outside quantized operators."""
        return "f32"

    def blocks(self, num_rows: int) -> tuple[int, ...]:
        """All sizes are the same to ONNX Runtime."""
        return (num_rows,)

    def warm_up(self, num_rows: int) -> None:
        """Nothing to prepare."""

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        """Run the graph once; see `Session.run`."""
        return dict(zip(outputs, self._session.run(outputs, inputs), strict=True))


def open_graph(path: str, options: SessionOptions) -> OnnxRuntimeSession:
    """Open an ONNX file.

    Raises:
        ArtifactError: ONNX Runtime refuses the file.
    """
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.num_threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    settings.enable_mem_pattern = True
    # Threads that spin while they wait steal the processors from the caller's other threads.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        for name, value in options.properties.items():
            settings.add_session_config_entry(name, value)
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(
            f"{path}: ONNX Runtime cannot open this graph ({reason}); export the model again"
        ) from error
    return OnnxRuntimeSession(session)
