"""Graphs in ONNX Runtime, on its CPU provider. The only importer of onnxruntime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime

from emf.runtime.arrays import Array, Arrays
from emf.runtime.errors import ArtifactError
from emf.runtime.inference.session import Session, SessionOptions

_PROVIDERS = ["CPUExecutionProvider"]


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


class OnnxRuntimeGraph:
    """The files of an ONNX graph in memory, the graph itself first."""

    def __init__(self, files: Mapping[Path, bytes]) -> None:
        self._files = files

    def open(self, options: SessionOptions) -> OnnxRuntimeSession:
        """Open a session; see `LoadedGraph.open`."""
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
            return OnnxRuntimeSession(self._open(settings))
        except Exception as error:
            reason, path = str(error).splitlines()[0], next(iter(self._files))
            raise ArtifactError(
                f"{path}: ONNX Runtime {onnxruntime.__version__} cannot open this graph ({reason}); "
                "export the model again, or take a newer ONNX Runtime"
            ) from error

    def reshaped(self, session: Session, options: SessionOptions) -> Session:
        """The same session: it takes inputs of any shape that the graph allows."""
        return session

    def _open(self, settings: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
        if len(self._files) == 1:
            (content,) = self._files.values()
            session = onnxruntime.InferenceSession(content, settings, providers=_PROVIDERS)
            session._model_bytes = None  # kept to open the graph once more with other providers: memory for nothing
            return session
        # ONNX Runtime reads external data by path alone: it gets files that nobody else changes.
        first = next(iter(self._files))
        with TemporaryDirectory(prefix="emf-") as folder:
            for path, content in self._files.items():
                target = Path(folder) / path.relative_to(first.parent)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            return onnxruntime.InferenceSession(str(Path(folder) / first.name), settings, providers=_PROVIDERS)


load_graph = OnnxRuntimeGraph
