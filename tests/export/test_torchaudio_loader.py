"""Importing torchaudio: the ordinary pairing, CPU torch beside CUDA torchaudio, and neither."""

import subprocess
import sys
from pathlib import Path

import pytest

from emf.export.torchaudio_loader import load_torchaudio

# torchaudio packages as small as they can be, by what happens when their native libraries load.
ORDINARY = {"__init__.py": "from . import _extension, models", "_extension.py": "native = True", "models.py": ""}
NO_CUDA = ORDINARY | {"_extension.py": "raise OSError('libcudart.so.12: cannot open shared object file')"}
UNDEFINED_SYMBOL = ORDINARY | {"_extension.py": "raise ImportError('undefined symbol: aoti_torch_abi_version')"}
BROKEN = NO_CUDA | {"models.py": "raise RuntimeError('operator torchvision::nms does not exist')"}
NEEDS_ANOTHER_PACKAGE = {"__init__.py": "import a_package_that_is_not_there"}

REPORT = """
import sys
from emf.export.torchaudio_loader import load_torchaudio
from emf.runtime.errors import MissingDependency
try:
    torchaudio = load_torchaudio()
except MissingDependency as error:
    assert isinstance(error, ImportError)
    print("MissingDependency:", error, [name for name in sys.modules if name.split(".")[0] == "torchaudio"])
else:
    assert load_torchaudio() is torchaudio is sys.modules["torchaudio"]
    print("native" if hasattr(torchaudio._extension, "native") else "stand-in", hasattr(torchaudio, "models"))
"""


def report(folder: Path, package: dict[str, str] | None) -> str:
    """What the loader does in a process of its own where torchaudio is `package`."""
    for name, content in (package or {}).items():
        path = folder / "torchaudio" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content + "\n", encoding="utf-8")
    first = "sys.modules['torchaudio'] = None" if package is None else f"sys.path.insert(0, {str(folder)!r})"
    code = f"import sys; {first}\n{REPORT}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_here() -> None:
    """The pairing that is installed here, whichever it is: all that the exporter uses is there."""
    torchaudio = load_torchaudio()
    assert callable(torchaudio.models.emformer_rnnt_model)
    assert callable(torchaudio.models.RNNTBeamSearch)
    assert callable(torchaudio.transforms.MelSpectrogram)
    assert torchaudio.pipelines.EMFORMER_RNNT_BASE_LIBRISPEECH.sample_rate == 16_000
    assert load_torchaudio() is torchaudio


def test_ordinary_pairing_keeps_its_native_libraries(tmp_path: Path) -> None:
    assert report(tmp_path, ORDINARY) == "native True"


@pytest.mark.parametrize("package", [NO_CUDA, UNDEFINED_SYMBOL], ids=["no CUDA", "undefined symbol"])
def test_native_libraries_that_do_not_load_are_left_out(tmp_path: Path, package: dict[str, str]) -> None:
    assert report(tmp_path, package) == "stand-in True"


def test_neither_works(tmp_path: Path) -> None:
    """One line that says what is wrong and what to install; no half-imported torchaudio stays behind."""
    line = report(tmp_path, BROKEN)
    assert line.startswith("MissingDependency: torchaudio cannot be imported with or without its native libraries")
    assert "torchvision::nms" in line
    assert "pip install 'emformer-deploy[export]'" in line
    assert line.endswith("[]")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("package", "name"),
    [(None, "torchaudio"), (NEEDS_ANOTHER_PACKAGE, "a_package_that_is_not_there")],
    ids=["no torchaudio", "torchaudio lacks a package"],
)
def test_what_is_not_installed_is_named(tmp_path: Path, package: dict[str, str] | None, name: str) -> None:
    line = report(tmp_path, package)
    assert line.startswith("MissingDependency: the exporter needs torch and torchaudio")
    assert f"{name} is not installed" in line
    assert "pip install 'emformer-deploy[export]'" in line
