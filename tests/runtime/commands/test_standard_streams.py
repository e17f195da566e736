"""Closed, full and ASCII-only streams, odd names and Ctrl-C: one line at the most, never a traceback."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from emf.runtime.artifact.files import describe_file
from emf.runtime.artifact.manifest_file import read_manifest, write_manifest
from emf.runtime.commands.terminal import printable
from tests.entry_points import SCRIPTS, run, start
from tests.runtime.artifact.damage import copy_artifact
from tests.signals import SAMPLE_RATE, speech_like

RUNTIME_COMMANDS = ["emf-bench", "emf-confidence", "emf-transcribe"]
ASCII = {**os.environ, "PYTHONIOENCODING": "ascii"}


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    soundfile.write(path, speech_like(1.0), SAMPLE_RATE)
    return path


@pytest.fixture(scope="module")
def text(tiny_artifact: Path, speech: Path) -> bytes:
    """What is heard in `speech`."""
    return run("emf-transcribe", tiny_artifact, speech).stdout


@pytest.fixture
def accented(tiny_artifact: Path, tmp_path: Path) -> Path:
    """The artifact with other letters in its vocabulary."""
    artifact = copy_artifact(tiny_artifact, tmp_path / "accented")
    tokens, manifest = artifact / "tokens.txt", read_manifest(artifact)
    letters = str.maketrans({"t": "\u00e9", "n": "\u4e2d", "v": "\U0001f600"})
    tokens.write_text(tokens.read_text(encoding="utf-8").translate(letters), encoding="utf-8")
    vocabulary = replace(manifest.vocabulary, file=describe_file(artifact, tokens))
    write_manifest(replace(manifest, vocabulary=vocabulary), artifact)
    return artifact


def closing(*numbers: int) -> Callable[[], None]:
    """Closes these standard streams of a process before it starts."""

    def close() -> None:
        for number in numbers:
            os.close(number)

    return close


@pytest.mark.parametrize("closed", [(0,), (2,), (0, 2)])
def test_the_text_comes_without_standard_input_or_error(
    tiny_artifact: Path, speech: Path, text: bytes, closed: tuple[int, ...]
) -> None:
    done = run("emf-transcribe", tiny_artifact, speech, preexec_fn=closing(*closed))
    assert (done.returncode, done.stdout) == (0, text) and text.strip()


@pytest.mark.parametrize("closed", [(1,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_no_standard_output(tiny_artifact: Path, speech: Path, backend: str, closed: tuple[int, ...]) -> None:
    done = run("emf-transcribe", tiny_artifact, speech, "--backend", backend, preexec_fn=closing(*closed))
    assert (done.returncode, done.stderr) == (0, b"")


def test_live_audio_needs_standard_input(tiny_artifact: Path) -> None:
    done = run("emf-transcribe", tiny_artifact, "-", preexec_fn=closing(0))
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1
    assert b"expected audio on standard input, but it is closed" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["{artifact}", "{speech}"], ["{artifact}", "{speech}", "--json"]])
def test_a_full_disk(tiny_artifact: Path, speech: Path, arguments: list[str]) -> None:
    filled = [argument.format(artifact=tiny_artifact, speech=speech) for argument in arguments]
    with Path("/dev/full").open("wb") as full:
        done = run("emf-transcribe", *filled, stdout=full)
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
    assert filled == ["--help"] or (done.returncode == 2 and b"cannot write to standard output" in done.stderr)


def test_nobody_reads_standard_error(tiny_artifact: Path, speech: Path, text: bytes) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run("emf-transcribe", tiny_artifact, speech, "--partial", "--verbose", stderr=full)
    assert (done.returncode, done.stdout) == (0, text)


def test_whoever_reads_may_leave(tiny_artifact: Path, speech: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run("emf-transcribe", tiny_artifact, speech, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_text_on_an_ascii_output(accented: Path, speech: Path) -> None:
    whole = run("emf-transcribe", accented, speech).stdout.decode()
    assert not whole.isascii()
    done = run("emf-transcribe", accented, speech, env=ASCII)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode("ascii") == whole.encode("ascii", "backslashreplace").decode("ascii")


@pytest.mark.parametrize("flags", [["--json"], ["--format", "json"]])
def test_json_on_an_ascii_output(accented: Path, speech: Path, flags: list[str]) -> None:
    documents = [
        json.loads(run("emf-transcribe", accented, speech, *flags, env=environment).stdout)
        for environment in (None, ASCII)
    ]
    assert documents[0]["results"] == documents[1]["results"] and not documents[0]["results"][0]["text"].isascii()


@pytest.mark.parametrize("command", SCRIPTS)
def test_help_on_an_ascii_output(command: str) -> None:
    done = run(command, "--help", env=ASCII)
    assert (done.returncode, done.stderr) == (0, b"") and b"example:" in done.stdout


@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"\x1b[31mred\x07.wav"])
def test_names_that_are_no_text(tiny_artifact: Path, speech: Path, tmp_path: Path, name: bytes) -> None:
    broken = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(broken)).write_text("not audio", encoding="utf-8")
    done = run("emf-transcribe", tiny_artifact, broken, speech, "--json")
    assert done.returncode == 1
    assert all(byte >= 32 or byte == 10 for byte in done.stderr), "a terminal would obey it"
    assert printable(os.fsdecode(name)).encode() in done.stderr and b"Traceback" not in done.stderr
    entries = json.loads(done.stdout)["results"]
    assert entries[0]["path"] == os.fsdecode(broken) and entries[0]["error"] and entries[1]["text"]


def test_printable() -> None:
    assert printable("\x1b[2J a\tb\nc \x9b1m \udce9 \u00e9 \r") == "\\x1b[2J a\tb\nc \\x9b1m \\udce9 \u00e9 \\r"


@pytest.mark.parametrize("command", SCRIPTS)
def test_control_codes_in_an_argument(command: str) -> None:
    done = run(command, b"--no-such-\x1b[31m\nflag\xe9")
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"\x1b" not in done.stderr


SLOW_IMPORT = """
import importlib.abc, time
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "numpy":
            sys.stdout.write("importing\\n"); sys.stdout.flush()
            try:
                time.sleep(60)
            except KeyboardInterrupt as error:
                raise ImportError("initialization failed") from error
sys.meta_path.insert(0, Slow())
"""


@pytest.mark.parametrize("command", SCRIPTS)
def test_an_interrupt_while_modules_are_imported(command: str) -> None:
    with start(command, "--help", prelude=SLOW_IMPORT) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read() == f"{command}: interrupted\n".encode()


def test_an_interrupt_that_a_package_turns_into_its_own_error(tiny_artifact: Path, speech: Path) -> None:
    prelude = SLOW_IMPORT.replace('"numpy"', '"onnxruntime"').replace("stdout", "stderr")
    with start("emf-transcribe", tiny_artifact, speech, prelude=prelude) as process:
        assert process.stderr
        assert process.stderr.readline() == b"importing\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read() == b"emf-transcribe: interrupted\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", RUNTIME_COMMANDS)
def test_an_interrupt_at_any_time(tiny_artifact: Path, command: str, tmp_path: Path) -> None:
    """From the moment the launcher is imported; before that Python itself is starting."""
    for delay in range(0, 250, 25):
        prelude = "import emf.runtime.commands.launch; sys.stderr.write('up\\n'); sys.stderr.flush()"
        with start(command, tiny_artifact, tmp_path / "none.wav", prelude=prelude) as process:
            assert process.stderr
            process.stderr.readline()
            time.sleep(0.02 + delay / 1000)
            process.send_signal(signal.SIGINT)
            message = process.stderr.read()
            assert process.wait(timeout=60) in (2, 130, -signal.SIGINT) and b"Traceback" not in message, delay


def test_importing_the_launchers_is_light() -> None:
    """Ctrl-C is answered from then on."""
    code = "import sys, emf.runtime.commands.launch; assert not {'numpy', 'argparse', 'tqdm'} & sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
