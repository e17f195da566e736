"""Who may import what. The tables are the rules' documentation; the rest of the file enforces them."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Imports run one way: a room imports itself and the rooms of the lines above it, never another room of its own line.
# "runtime" stands for the modules at the top of the folder, which are for everybody.
ORDER = (
    {"runtime"},
    {"runtime.artifact", "runtime.pages"},
    {"runtime.audio", "runtime.guidance"},
    {"runtime.search"},
    {"runtime.search.batched"},
    {"runtime.inference"},
    {"runtime.recognition"},
    {"runtime.engine", "runtime.speech"},
    {"runtime.corpus", "runtime.measure"},
    {"runtime.commands"},
    {"export", "quantize", "serve.pool", "serve.load", "serve.store"},
    {"serve.access", "serve.session", "serve.workers"},
    {"serve.service", "serve.sockets", "serve.containers", "serve.failover", "serve.cluster"},
    {  # and a folder for every other protocol
        "serve.operations",
        "serve.captions",
        "serve.native",
        "serve.openai",
        "serve.deepgram",
        "serve.sherpa",
        "serve.vosk",
        "serve.wyoming",
    },
    {"serve"},
)
ABOVE_THE_RUNTIME = ("export", "quantize", "serve")
"""Folders that import the runtime, and never each other."""


@dataclass(frozen=True)
class Package:
    """What the modules of a top-level folder may import beside the standard library and `emf`."""

    packages: frozenset[str]
    only_importers: dict[str, str]
    """Packages that one module keeps to itself."""


PACKAGES = {
    "runtime": Package(
        frozenset({"numpy", "rapidfuzz", "soundfile", "tqdm", "onnxruntime", "openvino", "ray", "shtab"}),
        {
            "ray": "corpus/ray_cluster",
            "onnxruntime": "inference/session_onnxruntime",
            "openvino": "inference/session_openvino",
            "rapidfuzz": "speech/error_rate",
            "shtab": "commands/completion",
        },
    ),
    "export": Package(
        frozenset({"numpy", "torch", "torchaudio", "torchao", "onnx", "openvino", "sentencepiece"}),
        {
            "torchaudio": "torchaudio_loader",
            "torchao": "inductor",
            "onnx": "to_onnx",
            "openvino": "to_openvino",
            "sentencepiece": "vocabulary",
        },
    ),
    "quantize": Package(
        frozenset({"numpy", "onnx", "onnxruntime", "openvino", "nncf", "jiwer"}),
        {"nncf": "compress"},
    ),
    "serve": Package(
        frozenset(
            {
                "numpy",
                "av",
                "msgspec",
                "prometheus_client",
                "ray",
                "redis",
                "starlette",
                "uvicorn",
                "uvloop",
                "websockets",
            }
        ),
        {
            "av": "containers/media",
            "ray": "cluster/ray_launcher",
            "redis": "store/redis_store",
            "uvicorn": "http_server",
        },
    ),
}
MOST_MODULES_AT_THE_TOP = 6
"""Of `runtime/`: what has no room there is for everybody."""
MOST_MODULES_OF_A_ROOM = 16


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


ALL_MODULES = [path for folder in PACKAGES for path in modules(folder)]
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


def own_imports(path: Path) -> set[str]:
    """Modules of the project that a file imports, without the leading `emf.`."""
    return {name.removeprefix("emf.") for name in imports(path) if name.startswith("emf.")}


def name_of(path: Path) -> str:
    """A module's name without the leading `emf.`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room of ORDER that a module belongs to."""
    rooms = [room for line in ORDER for room in line if f"{module}.".startswith(f"{room}.")]
    return max(rooms, key=len)


HEIGHTS = {room: height for height, line in enumerate(ORDER) for room in line}


def arrows_against_the_order(module: str, imported: set[str]) -> list[str]:
    """What a module imports of rooms that are not above its own in ORDER."""
    room = room_of(module)
    return [name for name in imported if room_of(name) != room and HEIGHTS[room_of(name)] >= HEIGHTS[room]]


def test_the_tables_are_about_what_exists() -> None:
    assert sum(len(line) for line in ORDER) == len(HEIGHTS), "a room stands in one line"
    assert all(modules(room.replace(".", "/")) for room in HEIGHTS)
    folders = {
        name_of(path.parent / "x.py").rpartition(".")[0] for top in ("runtime", "serve") for path in modules(top)
    }
    assert folders - {"serve.commands"} <= HEIGHTS.keys(), "every room has its line"
    for folder, package in PACKAGES.items():
        for name, module in package.only_importers.items():
            assert name in {found.split(".")[0] for found in imports(ROOT / folder / f"{module}.py")}


@every_module
def test_packages(path: Path) -> None:
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    found = {name.split(".")[0] for name in imports(path)} - {"emf", *sys.stdlib_module_names}
    assert found <= PACKAGES[folder].packages
    for name in found:
        assert PACKAGES[folder].only_importers.get(name, "/".join(rest)) == "/".join(rest)


@every_module
def test_imports_run_one_way(path: Path) -> None:
    if path == ROOT / "runtime" / "__init__.py":
        return  # the public names, from all rooms
    assert not arrows_against_the_order(name_of(path), own_imports(path))


@every_module
def test_the_folders_know_the_runtime_alone(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    others = [other for other in ABOVE_THE_RUNTIME if other != folder]
    assert not [name for name in own_imports(path) if name.split(".")[0] in others]


def test_an_arrow_turned_back_is_found() -> None:
    assert arrows_against_the_order("runtime.search.run", {"runtime.inference.transducer"})
    assert arrows_against_the_order("runtime.audio.mel", {"runtime.guidance.biasing"})
    assert arrows_against_the_order("runtime.errors", {"runtime.artifact.manifest"})
    assert arrows_against_the_order("quantize.report.page", {"export.model"})
    assert arrows_against_the_order("serve.session.session", {"serve.native.messages"})
    assert not arrows_against_the_order("runtime.search.run", {"runtime.search.beam", "runtime.arrays"})


def test_no_imports_run_in_a_circle() -> None:
    names = {name_of(path) for path in ALL_MODULES}
    graph = {name_of(path): own_imports(path) & names for path in ALL_MODULES if name_of(path) != "runtime"}
    assert list(TopologicalSorter(graph).static_order())


def test_no_room_is_crowded() -> None:
    for folder in {path.parent for path in ALL_MODULES}:
        count = len(list(folder.glob("*.py")))
        most = MOST_MODULES_AT_THE_TOP if folder == ROOT / "runtime" else MOST_MODULES_OF_A_ROOM
        assert count <= most, f"{folder}: {count} modules"


def test_rooms_export_nothing() -> None:
    """An `__init__.py` within a folder holds a docstring: whoever needs a name imports it from its module."""
    inner = [path for path in ALL_MODULES if path.stem == "__init__" and path.parent.parent != ROOT]
    for path in inner:
        assert len(ast.parse(path.read_text(encoding="utf-8")).body) <= 1, path


def run_without(packages: list[str], code: str) -> None:
    """Run code in a process in which some packages cannot be imported."""
    block = f"import sys; sys.modules.update(dict.fromkeys({packages!r}))\n"
    done = subprocess.run([sys.executable, "-c", block + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


HEAVY = ["torch", "torchaudio", "onnx", "onnxscript", "nncf", "sentencepiece", "jiwer"]
ENGINES = ["onnxruntime", "openvino"]


def test_importing_the_runtime_is_light() -> None:
    """Sound files, alignments, progress bars, engines and event loops are imported where they are used."""
    heavy = {"rapidfuzz", "soundfile", "tqdm", "asyncio", *ENGINES, *HEAVY}
    run_without([], f"import emf.runtime; loaded = {heavy!r} & sys.modules.keys(); assert not loaded, loaded")


def test_importing_the_runtime_needs_neither_torch_nor_an_engine() -> None:
    optional = {f"runtime.{PACKAGES['runtime'].only_importers[name].replace('/', '.')}" for name in (*ENGINES, "ray")}
    names = [name for name in map(name_of, modules("runtime")) if name not in optional]
    code = "".join(f"import emf.{name}\n" for name in names)
    run_without([*HEAVY, *ENGINES, "ray"], "import emf.runtime\n" + code)


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
    run_without(HEAVY, "import emf.export.commands.verify, emf.export.parity.invariance\n")


@pytest.mark.parametrize("module", ["runtime.inference.session_openvino", "export.to_openvino", "quantize.compress"])
def test_no_package_reports_its_use(module: str) -> None:
    """OpenVINO does so as it is imported."""
    reporting = "[name for name in sys.modules if name.startswith('openvino_telemetry') and sys.modules[name]]"
    run_without([], f"import sys, emf.{module}; assert not {reporting}, {reporting}")
