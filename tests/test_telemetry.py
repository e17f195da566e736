"""Nothing is reported to anybody, nothing is left under the home folder, and nothing is said of that."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from emf.runtime.telemetry import refuse_telemetry
from tests.signals import SAMPLE_RATE, speech_like

MAIN = "import sys; from {module} import main; sys.exit(main())"
# Programs, and the arguments of each: every way in which this project is the first to import a backend.
PROGRAMS = {
    "library": (
        "import sys, numpy, emf.runtime\n"
        "recognizer = emf.runtime.Recognizer.load(sys.argv[1], backend='onnxruntime', num_threads=2)\n"
        "assert recognizer.transcribe(numpy.zeros(8000), 8000).is_final",
        "ARTIFACT",
    ),
    "emf-transcribe": (MAIN.format(module="emf.runtime.commands.transcribe"), "ARTIFACT AUDIO --backend onnxruntime"),
    "emf-bench": (
        MAIN.format(module="emf.runtime.commands.bench"),
        "ARTIFACT --audio AUDIO --backend onnxruntime --max-seconds 1",
    ),
    "emf-verify": (
        "import sys; from emf.export.launch import verify; sys.exit(verify())",
        "ARTIFACT --audio AUDIO",
    ),
    "quantization": ("import emf.quantize.compress", ""),
    "the operators' profile": ("import emf.quantize.report.operators, onnxruntime", ""),
    "a fresh process": (
        "import operator; from emf.quantize.fresh_process import call_in_fresh_process\n"
        "from importlib import import_module\n"
        "call_in_fresh_process(exec, 'import onnxruntime')",
        "",
    ),
}


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    soundfile.write(path, speech_like(1.0), SAMPLE_RATE)
    return path


def command(name: str, artifact: Path, audio: Path) -> list[str]:
    code, arguments = PROGRAMS[name]
    places = {"ARTIFACT": str(artifact), "AUDIO": str(audio)}
    return [sys.executable, "-c", code, *(places.get(argument, argument) for argument in arguments.split())]


def environment(home: Path) -> dict[str, str]:
    """As a user has it: what this process refused is not inherited."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ORT_", "XDG_"))}
    return kept | {"HOME": str(home)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_written_under_a_fresh_home(tiny_artifact: Path, audio: Path, tmp_path: Path, name: str) -> None:
    done = subprocess.run(
        command(name, tiny_artifact, audio), env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["library", "emf-transcribe"])
def test_no_warning_without_a_home(tiny_artifact: Path, audio: Path, tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.write_text("a file, in which not even root can write a file")
    done = subprocess.run(
        command(name, tiny_artifact, audio), env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not re.search("telemetry|warn|persist", done.stderr, re.IGNORECASE), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_no_network(tiny_artifact: Path, audio: Path, tmp_path: Path, name: str) -> None:
    """Neither a name is looked up nor anybody connected to, also not while the process waits or ends.

    ONNX Runtime's first report comes some ten seconds after it was imported.
    """
    tracer, trace = shutil.which("strace"), tmp_path / "trace"
    if tracer is None:
        pytest.skip("strace is not installed")
    program, flag, code, *arguments = command(name, tiny_artifact, audio)
    waiting = f"import atexit, time; atexit.register(time.sleep, 16 if {name == 'library'} else 1)\n{code}"
    done = subprocess.run(
        [tracer, "-f", "-e", "trace=network", "-o", trace, program, flag, waiting, *arguments],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip("this process may not trace others")
    assert done.returncode == 0, done.stderr
    assert not [line for line in trace.read_text(encoding="utf-8").splitlines() if "AF_INET" in line]


def test_the_users_own_choice_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    refuse_telemetry()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
