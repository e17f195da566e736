"""The lowest versions that `pyproject.toml` states run every variant: from the wheel."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from emf.quantize.recipe import PRECISIONS
from emf.runtime.artifact.manifest_file import read_manifest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from lowest_versions import constraints

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
NO_NETWORK = re.compile("Failed to establish a new connection|Temporary failure in name resolution|ProxyError", re.I)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def test_the_extras_state_one_minimum() -> None:
    """A graph is written with what it can be opened with."""
    for package in ("onnxruntime", "openvino"):
        stated = {line for lines in EXTRAS.values() for line in lines if re.match(rf"{package}[<>=]", line)}
        assert len(stated) == 1, stated


@pytest.fixture(scope="session")
def lowest(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin` of a fresh virtual environment with the wheel, both backends, and the lowest version of everything."""
    root = tmp_path_factory.mktemp("lowest")
    versions = root / "constraints.txt"
    versions.write_text("\n".join(constraints(PROJECT, ["onnxruntime", "openvino"])), encoding="utf-8")
    assert run(sys.executable, "-m", "venv", root).returncode == 0
    done = run(root / "bin" / "pip", "install", "--quiet", "-c", versions, f"{wheel}[onnxruntime,openvino]")
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return root / "bin"


@pytest.mark.slow
def test_every_variant(lowest: Path, quantized: Path, speech: Path) -> None:
    variants = read_manifest(quantized).variants
    assert {variant.precision for variant in variants} == {"fp32", *PRECISIONS}
    texts = {}
    for variant in variants:
        flags = ("--backend", variant.backend, "--precision", variant.precision, "--num-threads", "2", "--json")
        done = run(lowest / "emf-transcribe", quantized, speech, *flags)
        assert done.returncode == 0, f"{variant}: {done.stderr}"
        assert not done.stderr, f"{variant}: {done.stderr}"
        texts[variant] = [result["text"] for result in json.loads(done.stdout)["results"]]
    floats = [found for variant, found in texts.items() if variant.precision == "fp32"]
    assert all(floats[0]) and floats[0] == floats[1]
