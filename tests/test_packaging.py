"""The wheel holds the folders and nothing else, and works in a clean environment without PyTorch."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from importlib import import_module
from pathlib import Path

import pytest
import soundfile

from tests.signals import SAMPLE_RATE, speech_like

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from lowest_versions import constraints

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = ("runtime", "export", "quantize", "serve")
EXPECTED = json.loads((Path(__file__).parent / "data" / "tiny_expected.json").read_text(encoding="utf-8"))
NO_NETWORK = re.compile("Failed to establish a new connection|Temporary failure in name resolution|ProxyError", re.I)


def test_the_wheel_holds_what_the_folders_hold(wheel: Path) -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    expected = {f"emf/{p.relative_to(ROOT).as_posix()}" for p in files if "__pycache__" not in p.parts}
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected
    assert {"emf/runtime/py.typed", "emf/export/py.typed", "emf/quantize/py.typed", "emf/serve/py.typed"} <= found


def test_its_metadata(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = HeaderParser().parsestr(archive.read(name).decode())
    assert metadata["Name"] == "emformer-deploy"
    released = re.findall(r"^## (\d.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert metadata["Version"] == PROJECT["project"]["version"] == released[0]
    assert set(metadata["Keywords"].split(",")) == set(PROJECT["project"]["keywords"])
    assert metadata.get_all("Classifier") == PROJECT["project"]["classifiers"]
    base = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {re.split(r"[><=!~ ;]", line)[0] for line in base} == {"numpy", "rapidfuzz", "soundfile", "tqdm"}
    licences = {Path(name).name for name in archive.namelist() if "/licenses/" in name}
    assert licences == set(PROJECT["project"]["license-files"])


@pytest.mark.parametrize("command", PROJECT["project"]["scripts"])
def test_every_command_helps(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry point exists, and its `--help` shows an example."""
    module, function = PROJECT["project"]["scripts"][command].split(":")
    main = getattr(import_module(module), function)
    for flag in ("--help", "--version"):
        monkeypatch.setattr(sys, "argv", [command, flag])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 0
        output = capsys.readouterr().out
        assert command in output
        assert flag == "--version" or "example:" in output


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def clean_environment(wheel: Path, root: Path, *flags: str | Path) -> Path:
    """`bin` of a fresh virtual environment with the wheel and one engine."""
    assert run(sys.executable, "-m", "venv", root).returncode == 0
    done = run(root / "bin" / "pip", "install", "--quiet", *flags, f"{wheel}[onnxruntime]")
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return root / "bin"


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean_environment(wheel, tmp_path_factory.mktemp("clean"))


@pytest.mark.slow
def test_the_lowest_versions_transcribe_the_demo(wheel: Path, demo_artifact: Path, tmp_path: Path) -> None:
    """Where a lowest version cannot be installed or does not work, pyproject.toml promises too much."""
    versions = tmp_path / "constraints.txt"
    versions.write_text("\n".join(constraints(PROJECT["project"], ["onnxruntime"])), encoding="utf-8")
    bin_ = clean_environment(wheel, tmp_path / "lowest", "--constraint", versions)
    recording = ROOT / "export" / "demo" / "recordings" / "date.flac"
    done = run(bin_ / "emf-transcribe", demo_artifact, recording)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "december thirty first nineteen eighty nine enter fifty one\n"


@pytest.mark.slow
def test_a_clean_environment_transcribes_without_torch(environment: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    audio = tmp_path / "speech.wav"
    soundfile.write(audio, speech_like(EXPECTED["seconds"], EXPECTED["seed"]), SAMPLE_RATE, subtype="FLOAT")
    done = run(environment / "emf-transcribe", tiny_artifact, audio, "--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    pieces = (tiny_artifact / "tokens.txt").read_text(encoding="utf-8").splitlines()
    tokens = [pieces[token].split(" ")[0] for token in EXPECTED["hypotheses"]["10"][0]["tokens"]]
    assert result["text"] == "".join(tokens).replace("\u2581", " ").strip()
    installed = run(environment / "pip", "list", "--format", "freeze").stdout.lower()
    names = {line.split("==")[0] for line in installed.split()}
    assert {"emformer-deploy", "numpy", "rapidfuzz", "soundfile", "tqdm", "onnxruntime"} <= names
    assert not names & {"torch", "torchaudio", "onnx", "openvino", "nncf", "sentencepiece", "scipy", "librosa", "soxr"}


# A command, and the extra that it lacks in an environment with ONNX Runtime alone.
MISSING = {
    "emf-transcribe ARTIFACT AUDIO --backend openvino": "openvino",
    "emf-transcribe ARTIFACT AUDIO --out OUT --cluster ray": "ray",
    "emf-bench ARTIFACT --audio AUDIO --compare torchaudio --checkpoint demo": "export",
    "emf-export --model demo --out OUT": "export",
    "emf-verify ARTIFACT --checkpoint demo --audio AUDIO": "export",
    "emf-quantize ARTIFACT --precision int8": "quantize",
    "emf-report ARTIFACT --audio AUDIO": "quantize",
}


@pytest.mark.slow
@pytest.mark.parametrize("command", MISSING, ids=lambda command: command.split()[0])
def test_a_clean_environment_names_the_missing_extra(
    environment: Path, tiny_artifact: Path, tmp_path: Path, command: str
) -> None:
    audio = tmp_path / "speech.wav"
    soundfile.write(audio, speech_like(0.5), SAMPLE_RATE)
    places = {"ARTIFACT": tiny_artifact, "AUDIO": audio, "OUT": tmp_path / "out"}
    program, *arguments = command.split()
    done = run(environment / program, *(places.get(argument, argument) for argument in arguments))
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"pip install 'emformer-deploy[{MISSING[command]}]'" in done.stderr
    assert not (tmp_path / "out").exists()
