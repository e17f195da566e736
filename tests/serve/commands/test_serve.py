"""emf-serve and emf-stream as they are installed."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

from emf.runtime import Recognizer
from emf.serve.access.keys import ENVIRONMENT
from tests.entry_points import run, start
from tests.signals import SAMPLE_RATE, speech_like

KEY = "a-key-of-this-test-0123"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    soundfile.write(path, speech_like(2.0, seed=5), SAMPLE_RATE, subtype="FLOAT")
    return path


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    process = start("emf-serve", *arguments, "--port", "0")
    try:
        assert process.stderr is not None
        while (line := process.stderr.readline().decode()).startswith("{"):
            json.loads(line)
        assert line.startswith("listening on http"), line
        yield line.split()[-1], process
    finally:
        process.kill()
        process.communicate()


def test_a_recording_by_the_two_commands(tiny_artifact: Path, recording: Path) -> None:
    with serving(tiny_artifact, "--num-threads", "1") as (url, process):
        done = run("emf-stream", url, recording, "--rate", "fast", "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        raw = run("emf-stream", url, "-", "--rate", "fast", input=recording.read_bytes())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    samples, rate = soundfile.read(recording, dtype="float32")
    text = Recognizer.load(tiny_artifact).transcribe(samples, rate).text
    assert document["text"] == text != ""
    assert document["segments"][-1]["is_final"]
    assert raw.stdout.decode().strip() == text


def test_keys_let_in_and_stay_out_of_the_log(tiny_artifact: Path, recording: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY} tester", encoding="utf-8")
    with serving(tiny_artifact, "--workers", "0", "--api-keys", keys, "--verbose", "--log-format", "json") as (
        url,
        process,
    ):
        denied = run("emf-stream", url, recording, "--rate", "fast")
        assert denied.returncode == 2
        assert b"401" in denied.stderr
        assert denied.stderr.count(b"\n") == 1
        done = run("emf-stream", url, recording, "--rate", "fast", "--api-key", KEY)
        assert done.returncode == 0, done.stderr
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0
    assert KEY.encode() not in log
    assert done.stdout.strip() not in log


def certificate(folder: Path) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run([*command, "-out", str(cert), "-keyout", str(key)], check=True, capture_output=True)
    return cert, key


def test_tls(tiny_artifact: Path, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with serving(tiny_artifact, "--workers", "0", "--tls-cert", cert, "--tls-key", key) as (url, _):
        assert url.startswith("https://")
        import httpx

        assert httpx.get(f"{url}/health/live", verify=False).status_code == 200


REFUSED = {
    "no artifact": ["{tmp}/nothing"],
    "port taken": ["{artifact}", "--port", "{taken}"],
    "no such address": ["{artifact}", "--host", "no.such.host.invalid"],
    "strangers": ["{artifact}", "--host", "0.0.0.0"],
    "keys that are missing": ["{artifact}", "--api-keys", "{tmp}/nothing"],
    "a key without its certificate": ["{artifact}", "--tls-key", "{tmp}/key"],
    "a certificate without its key": ["{artifact}", "--tls-cert", "{tmp}/cert"],
    "no certificate": ["{artifact}", "--tls-key", "{tmp}/nothing", "--tls-cert", "{tmp}/nothing"],
    "workers": ["{artifact}", "--workers", "many"],
    "a variant that is not there": ["{artifact}", "--precision", "int4", "--workers", "2"],
    "a store that cannot be written": ["{artifact}", "--workers", "0", "--snapshot-store", "/proc/nothing"],
    "an unknown protocol": ["{artifact}", "--protocols", "smoke"],
    "a number out of range": ["{artifact}", "--drain", "-1"],
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(tiny_artifact: Path, tmp_path: Path, case: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        names = {"artifact": tiny_artifact, "tmp": tmp_path, "taken": taken.getsockname()[1]}
        environment = {name: value for name, value in os.environ.items() if name != ENVIRONMENT}
        done = run("emf-serve", *(part.format(**names) for part in REFUSED[case]), env=environment, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count(b"\n") == 1, done.stderr.decode()
    assert done.stderr.startswith(b"emf-serve: ")
    assert done.stdout == b""


def test_keys_in_the_environment_open_other_addresses(tiny_artifact: Path) -> None:
    os.environ[ENVIRONMENT] = KEY
    try:
        with serving(tiny_artifact, "--workers", "0", "--host", "0.0.0.0") as (url, _):
            assert url.startswith("http://0.0.0.0:")
    finally:
        del os.environ[ENVIRONMENT]


def test_live_audio_to_nobody(recording: Path) -> None:
    done = run("emf-stream", "ws://127.0.0.1:1", recording)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert done.stderr.startswith(b"emf-stream: ")
