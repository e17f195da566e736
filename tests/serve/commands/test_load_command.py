"""emf-load as it is installed."""

import json
from pathlib import Path

import pytest
import soundfile

from tests.entry_points import run
from tests.serve.live_server import LiveServer
from tests.signals import SAMPLE_RATE, speech_like


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    soundfile.write(path, speech_like(1.5, seed=5), SAMPLE_RATE, subtype="PCM_16")
    return path


def test_a_load_of_two(server: LiveServer, recording: Path) -> None:
    done = run("emf-load", server.url("", "http"), "--audio", recording, "--streams", "2", "--duration", "1", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["streams"] == document["recordings"] == 2
    assert document["refused"] == document["failed"] == document["wrong_text"] == 0
    assert document["lag_ms"]["p99"] >= document["lag_ms"]["p50"] >= 0
    assert document["final_ms"]["p99"] >= document["final_ms"]["p50"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{nobody}", "--streams", "1"], b"unreachable"),
        (["{server}/nothing", "--streams", "1"], b"http_403"),
        (["{server}", "--streams", "many"], b"from 1 to 100000"),
        (["ftp://host", "--streams", "1"], b"ws://"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(
    server: LiveServer, recording: Path, arguments: list[str], said: bytes
) -> None:
    names = {"nobody": "ws://127.0.0.1:1", "server": server.url("", "ws")}
    done = run("emf-load", *(part.format(**names) for part in arguments), "--audio", recording)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1, done.stderr.decode()
    assert said in done.stderr
