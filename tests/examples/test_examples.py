"""Every example runs, and prints what the library hears."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import soundfile

from emf.runtime import Recognizer
from tests.serve.live_server import LiveServer, live_server

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
RECORDING = ROOT / "export" / "demo" / "recordings" / "date.flac"
SERVER_CLIENTS = {
    "emf_live": "ws://127.0.0.1:{port}",
    "openai_file": "http://127.0.0.1:{port}/v1",
    "openai_live": "http://127.0.0.1:{port}/v1",
    "deepgram_live": "127.0.0.1:{port}",
    "vosk_live": "ws://127.0.0.1:{vosk}",
    "sherpa_onnx_live": "ws://127.0.0.1:{sherpa}",
    "wyoming_live": "127.0.0.1 {wyoming}",
}
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(name: str, *arguments: object, audio: bytes | None = None) -> str:
    """What an example prints."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, input=audio, check=False, timeout=120, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def text(demo_artifact: Path) -> str:
    samples, rate = soundfile.read(RECORDING, dtype="float32")
    return Recognizer.load(demo_artifact).transcribe(samples, rate).text


@pytest.fixture(scope="module")
def server(demo_artifact: Path) -> Iterator[LiveServer]:
    ports: dict[str, Any] = {"sherpa_port": 0, "vosk_port": 0, "wyoming_port": 0}
    with live_server(demo_artifact, decoding_method="beam", **ports) as running:
        yield running


def test_every_example_is_listed() -> None:
    listed = set(re.findall(r"\(([\w/]+\.py)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob("**/*.py")}
    assert {path.stem for path in (EXAMPLES / "clients").glob("*.py")} == set(SERVER_CLIENTS)


def test_a_file(demo_artifact: Path, text: str) -> None:
    first, *words = run("transcribe_file.py", demo_artifact, RECORDING).splitlines()
    assert first == text
    assert [line.split()[-1] for line in words] == text.split()


def test_a_microphone(demo_artifact: Path, text: str) -> None:
    samples, _ = soundfile.read(RECORDING, dtype="int16")
    shown = run("microphone.py", demo_artifact, audio=samples.tobytes())
    assert shown.rstrip("\n").split("\r")[-1].split()[-1] == text.split()[-1]


def test_many_streams(demo_artifact: Path, text: str) -> None:
    assert run("many_streams.py", demo_artifact, RECORDING, 3).splitlines() == [text] * 3


def send_all(connection: socket.socket, audio: bytes) -> None:
    connection.sendall(audio)
    connection.shutdown(socket.SHUT_WR)


def test_a_service(demo_artifact: Path, text: str) -> None:
    command = [sys.executable, str(EXAMPLES / "asyncio_service.py"), str(demo_artifact), "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        try:
            assert service.stderr is not None
            port = int(service.stderr.readline().split()[-1])
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                samples, _ = soundfile.read(RECORDING, dtype="int16")
                sender = threading.Thread(target=send_all, args=(connection, samples.tobytes()))
                sender.start()
                lines = connection.makefile(encoding="utf-8").read().splitlines()
                sender.join()
        finally:
            service.kill()
    assert lines[-1] == text
    assert all(later.startswith(earlier) for earlier, later in pairwise(lines))


def test_quantize_and_compare(tiny_artifact: Path, tmp_path: Path) -> None:
    artifact = shutil.copytree(tiny_artifact, tmp_path / "artifact")
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text(f"path\ttranscript\n{RECORDING}\tdecember thirty first\n", encoding="utf-8")
    printed = run("quantize_and_compare.py", artifact, manifest, tmp_path / "report")
    assert all(f"{backend}/int8-weight" in printed for backend in ("onnxruntime", "openvino"))


@pytest.mark.slow
def test_convert_structure(tmp_path: Path) -> None:
    artifact, speech = tmp_path / "small", tmp_path / "manifest.tsv"
    names = ("digits.flac", "name.flac", "date.flac", "commands.flac")
    speech.write_text("\n".join(["path", *(str(RECORDING.with_name(name)) for name in names)]), encoding="utf-8")
    quick = ["--backends", "onnxruntime", "--verify-seconds", "1", "--segments", "1"]
    kept, *searches = run("convert_structure.py", "demo", artifact, speech, *quick).splitlines()
    assert re.match(r"a stream keeps 4\.\d KiB; ranks \[", kept)
    assert [line.partition(":")[0] for line in searches] == ["greedy", "beam"]
    assert Recognizer.load(artifact)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray")
def test_a_corpus_on_ray(demo_artifact: Path, text: str, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text(f"path\n{RECORDING}\nnone.flac\n", encoding="utf-8")
    rows = sorted(run("corpus_on_ray.py", demo_artifact, manifest, tmp_path / "rows.jsonl", "", 1).splitlines())
    assert rows[0] == f"{RECORDING.name}: {text}"
    assert rows[1].startswith("none.flac: failed, ") and len(rows) == 2


@pytest.mark.parametrize("name", SERVER_CLIENTS)
def test_clients(name: str, server: LiveServer, text: str) -> None:
    address = SERVER_CLIENTS[name].format(port=server.port, **server.ports)
    assert run(f"clients/{name}.py", *address.split(), RECORDING).strip() == text
