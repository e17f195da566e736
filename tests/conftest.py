"""Fixtures that are expensive to make, made once; and how hypothesis searches: the same way every time."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # PyTorch is imported only where a test exports
    from emf.export.model import SourceModel
    from emf.export.parity.verification import Verification
    from emf.runtime.artifact.manifest import Manifest

settings.register_profile("emf", derandomize=True, deadline=None, max_examples=25, database=None)
settings.load_profile("emf")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what runs in its background, and the commands that tests start would ignore Ctrl-C, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
FOLDERS = ("runtime", "export", "quantize", "serve")
VERIFY_SECONDS = 3.0


@dataclass(frozen=True)
class Exported:
    """One of `tests.oracle.CONFIGS`, exported for both engines, and what the check found."""

    source: "SourceModel"
    root: Path
    manifest: "Manifest"
    verification: "Verification"


Export: TypeAlias = Callable[[str], Exported]


@pytest.fixture(scope="session")
def tiny_artifact() -> Path:
    """The committed artifact of a tiny random model; see `tests/make_tiny_artifact.py`."""
    return Path(__file__).parent / "data" / "tiny_artifact"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Exports a configuration when it is first asked for."""
    made: dict[str, Exported] = {}
    root = tmp_path_factory.mktemp("exported")

    def export(name: str) -> Exported:
        if name not in made:
            from emf.export.artifact import ExportOptions, export_artifact
            from emf.runtime.artifact.manifest_file import read_manifest
            from emf.runtime.inference.session import BACKENDS
            from tests.oracle import source
            from tests.signals import speech_like

            options = ExportOptions(BACKENDS, speech_like(VERIFY_SECONDS))
            _, verification = export_artifact(source(name), root / name, options)
            made[name] = Exported(source(name), root / name, read_manifest(root / name), verification)
        return made[name]

    return export


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` that `make` fills, made by whichever of the test processes comes first."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    root = (factory.getbasetemp().parent if parallel else factory.getbasetemp()) / f"once-{name}"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "made").exists():
            make(root / "content")
            (root / "made").touch()
    return root / "content"


@pytest.fixture(scope="session")
def demo_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model exported for both engines, for what a random model cannot show. Not to be changed by tests.

    Where `EMF_DEMO_ARTIFACT` names such an artifact, it is taken: an environment without PyTorch cannot export one.
    """
    if "EMF_DEMO_ARTIFACT" in os.environ:
        return Path(os.environ["EMF_DEMO_ARTIFACT"])

    def make(root: Path) -> None:
        # In a process of its own, unobserved: where coverage is measured, an export would take many times as long.
        unobserved = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        command = [sys.executable, "-m", "tests.make_demo_artifact", str(root)]
        subprocess.run(command, check=True, capture_output=True, env=unobserved, cwd=ROOT)

    return made_once(tmp_path_factory, "demo", make)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that nothing is left in the source tree, and nothing old gets in."""

    def make(target: Path) -> None:
        source = tmp_path_factory.mktemp("source")
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for folder in FOLDERS:
            shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", project["readme"], *project["license-files"]):
            shutil.copy(ROOT / name, source / name)
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            str(target),
        ]
        done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    (built,) = made_once(tmp_path_factory, "wheel", make).iterdir()
    return built
