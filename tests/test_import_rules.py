"""Who may import what. The tables are the rules' documentation; the rest of the file enforces them."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Room:
    """What the modules of a folder may import beside the standard library."""

    rooms: frozenset[str]
    packages: frozenset[str]


ROOMS = {
    "runtime": Room(
        rooms=frozenset({"runtime"}),
        packages=frozenset({"numpy", "soundfile", "soxr", "tqdm", "onnxruntime", "openvino"}),
    ),
    "export": Room(
        rooms=frozenset({"runtime", "export"}),
        packages=frozenset({"numpy", "torch", "torchaudio", "onnx", "openvino", "sentencepiece"}),
    ),
    "quantize": Room(
        rooms=frozenset({"runtime", "quantize"}),
        packages=frozenset({"numpy", "onnx", "onnxruntime", "openvino", "nncf", "jiwer", "tqdm"}),
    ),
}

# Packages that one module of a room keeps to itself.
ONLY_IMPORTER = {
    ("runtime", "onnxruntime"): "session_onnxruntime",
    ("runtime", "openvino"): "session_openvino",
    ("runtime", "soxr"): "resampler",
    ("export", "torchaudio"): "torchaudio_loader",
    ("export", "onnx"): "to_onnx",
    ("export", "openvino"): "to_openvino",
    ("export", "sentencepiece"): "vocabulary",
    ("quantize", "nncf"): "compress",
}

# Inside the runtime, imports run one way: a module imports from its own line and from those above it.
LAYERS = (
    {"errors", "telemetry"},
    {"fields", "confidence", "manifest", "manifest_file", "threads", "machine", "saturation"},
    {
        "tokens",
        "biasing",
        "ngrams",
        "arpa",
        "fusion",
        "result",
        "transcript",
        "subtitles",
        "endpoint",
        "error_rate",
        "reliability",
        "speech_manifest",
    },
    {"session", "blocks"},
    {"session_onnxruntime", "session_openvino"},
    {"audio", "resampler", "blob", "mel", "features", "timing", "state_batch"},
    {"transducer"},
    {"search", "beam_search", "greedy_search", "modified_beam_search", "search_loop", "join_table"},
    {"stream", "stream_settings", "snapshot"},
    {"step", "crew"},
    {"recognizer"},
    {"clock", "batching", "capacity", "engine_options", "engine_metrics", "meter", "outbox", "slot"},
    {"dispatcher", "callbacks"},
    {"handle", "engine"},
    {"transcription", "bench", "baselines", "plots", "bench_plots", "load"},
    {"command_line", "recognizer_flags", "transcribe", "confidence_command", "bench_command"},
)


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


ALL_MODULES = [path for room in ROOMS for path in modules(room)]
every_module = pytest.mark.parametrize("path", ALL_MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever in it, also by `import_module("name")`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: imports must be absolute"
            yield node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def test_the_tables_are_about_what_exists() -> None:
    assert all(modules(room) for room in ROOMS)
    for (room, package), module in ONLY_IMPORTER.items():
        assert package in {name.split(".")[0] for name in imports(ROOT / room / f"{module}.py")}
    layered = [module for layer in LAYERS for module in layer]
    assert len(layered) == len(set(layered))
    assert set(layered) == {path.stem for path in modules("runtime")} - {"__init__"}, "every module has its layer"


@every_module
def test_packages(path: Path) -> None:
    packages = {name.split(".")[0] for name in imports(path)} - {"emf", *sys.stdlib_module_names}
    assert packages <= ROOMS[room_of(path)].packages
    for package in packages:
        assert ONLY_IMPORTER.get((room_of(path), package), path.stem) == path.stem


@every_module
def test_rooms(path: Path) -> None:
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("emf.")}
    assert rooms <= ROOMS[room_of(path)].rooms


@pytest.mark.parametrize("path", modules("runtime"), ids=lambda path: path.stem)
def test_layers(path: Path) -> None:
    if path.stem == "__init__":
        return
    heights = {module: height for height, layer in enumerate(LAYERS) for module in layer}
    above = [n for n in imports(path) if n.startswith("emf.") and heights[n.split(".")[2]] > heights[path.stem]]
    assert not above


def run_without(packages: list[str], code: str) -> None:
    """Run code in a process in which some packages cannot be imported."""
    block = f"import sys; sys.modules.update(dict.fromkeys({packages!r}))\n"
    done = subprocess.run([sys.executable, "-c", block + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


HEAVY = ["torch", "torchaudio", "onnx", "onnxscript", "nncf", "sentencepiece", "jiwer"]
ENGINES = ["onnxruntime", "openvino"]


def test_importing_the_runtime_is_light() -> None:
    """Sound files, resampling, progress bars, engines and event loops are imported where they are used."""
    heavy = {"soundfile", "soxr", "tqdm", "asyncio", *ENGINES, *HEAVY}
    run_without([], f"import emf.runtime; loaded = {heavy!r} & sys.modules.keys(); assert not loaded, loaded")


def test_importing_the_runtime_needs_neither_torch_nor_an_engine() -> None:
    names = [p.stem for p in modules("runtime") if p.stem != "__init__" and not p.stem.startswith("session_")]
    code = "".join(f"import emf.runtime.{name}\n" for name in names)
    run_without(HEAVY + ENGINES, "import emf.runtime\n" + code)


@pytest.mark.parametrize("engine", ENGINES)
def test_transcribing_needs_one_engine_and_nothing_else(tiny_artifact: Path, engine: str) -> None:
    others = [name for name in ENGINES if name != engine]
    code = (
        "import numpy; from emf.runtime import Recognizer\n"
        f"recognizer = Recognizer.load({str(tiny_artifact)!r}, backend={engine!r}, num_threads=1)\n"
        "assert recognizer.transcribe(numpy.zeros(8000), 8000).is_final\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'torch' and sys.modules[name]]\n"
    )
    run_without(HEAVY + others, code)


def test_a_checkpoint_free_verification_needs_no_torch() -> None:
    """emf-verify works where only the runtime is installed."""
    run_without(HEAVY, "import emf.export.verify_command, emf.export.invariance\n")


@pytest.mark.parametrize("module", ["runtime.session_openvino", "export.to_openvino", "quantize.compress"])
def test_no_package_reports_its_use(module: str) -> None:
    """OpenVINO does so as it is imported."""
    reporting = "[name for name in sys.modules if name.startswith('openvino_telemetry') and sys.modules[name]]"
    run_without([], f"import sys, emf.{module}; assert not {reporting}, {reporting}")
