"""What was heard is printed, whatever happens to the other recordings, and when the user has heard enough."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.entry_points import run, start
from tests.runtime.commands.test_transcribe import run as transcribe
from tests.signals import SAMPLE_RATE, speech_like

BACKENDS = pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings, one that breaks off in a number that is none, one that is no audio."""
    for index in range(3):
        soundfile.write(tmp_path / f"{index}.wav", speech_like(1.0, seed=index), SAMPLE_RATE, subtype="FLOAT")
    samples = speech_like(3.0)
    samples[2 * SAMPLE_RATE :] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("not audio", encoding="utf-8")
    return tmp_path


def paths(folder: Path, names: Sequence[str]) -> list[Path]:
    return [folder / name for name in names]


GOOD = ["0.wav", "1.wav", "2.wav"]
MIXED = ["0.wav", "text.wav", "nan.wav", "1.wav", "nowhere.wav", "2.wav"]


@BACKENDS
@pytest.mark.parametrize("size", [1, 2, 8])
def test_a_broken_file_leaves_the_others(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, folder: Path, backend: str, size: int
) -> None:
    flags = ["--backend", backend, "--batch-size", size]
    _, expected, _ = transcribe(capsys, tiny_artifact, *paths(folder, GOOD), *flags)
    status, out, err = transcribe(capsys, tiny_artifact, *paths(folder, MIXED), *flags)
    assert status == 1 and out.splitlines()[:3] == expected.splitlines()[:3]
    lines = err.splitlines()
    assert [next(name for name in MIXED if name in line) for line in lines[:3]] == [
        "text.wav",
        "nowhere.wav",
        "nan.wav",
    ]
    assert lines[3:] == ["emf-transcribe: 3 of 6 recordings could not be transcribed"]


def test_json_has_an_entry_with_the_error(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, folder: Path
) -> None:
    expected = json.loads(transcribe(capsys, tiny_artifact, *paths(folder, GOOD), "--json")[1])["results"]
    status, out, _ = transcribe(capsys, tiny_artifact, *paths(folder, MIXED), "--json")
    entries = json.loads(out)["results"]
    assert status == 1 and [Path(entry["path"]).name for entry in entries] == MIXED
    assert [entry for entry in entries if "error" not in entry] == expected
    assert all(entry.keys() == {"path", "error"} for entry in entries if "error" in entry)


def test_the_error_rate_is_that_of_what_could_be_read(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, folder: Path
) -> None:
    rows = ["path\ttranscript", *(f"{name}\ta few words" for name in ("0.wav", "nan.wav"))]
    (folder / "dev.tsv").write_text("\n".join(rows), encoding="utf-8")
    rates = [
        json.loads(transcribe(capsys, tiny_artifact, *files, "--reference", folder / "dev.tsv", "--json")[1])["wer"]
        for files in (paths(folder, ["0.wav"]), paths(folder, ["0.wav", "nan.wav"]))
    ]
    assert rates[0] == rates[1] > 0


@pytest.mark.parametrize("names", [["nan.wav"], ["text.wav", "nowhere.wav"], ["nan.wav", "nan.wav"]])
@pytest.mark.parametrize("flags", [[], ["--json"], ["--format", "srt"]])
def test_nothing_that_can_be_transcribed(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, folder: Path, names: list[str], flags: list[str]
) -> None:
    status, out, err = transcribe(capsys, tiny_artifact, *paths(folder, names), *flags)
    assert (status, out) == (2, "") and err.startswith("emf-transcribe: ") and "Traceback" not in err


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_of_what_could_be_read(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, folder: Path, form: str
) -> None:
    _, expected, _ = transcribe(capsys, tiny_artifact, folder / "0.wav", "--format", form)
    status, out, _ = transcribe(capsys, tiny_artifact, folder / "0.wav", folder / "nan.wav", "--format", form)
    assert (status, out) == (1, expected)


def test_results_come_while_others_are_awaited(tiny_artifact: Path, folder: Path) -> None:
    with start("emf-transcribe", tiny_artifact, folder / "0.wav", "-") as process:
        assert process.stdin and process.stdout
        ready, _, _ = select.select([process.stdout], [], [], 60)
        assert ready and process.stdout.readline().startswith(os.fsencode(folder / "0.wav"))
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def speak(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Send live audio and wait until some of it has been heard, which `--partial` shows."""
    assert process.stdin and process.stderr
    process.stdin.write((speech_like(seconds) * 32767).astype("<i2").tobytes())
    process.stdin.flush()
    while b"|" not in process.stderr.readline():
        pass
    time.sleep(0.5)


@BACKENDS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("flags", [[], ["--json"], ["--format", "vtt"]])
def test_an_interrupt_ends_live_audio(
    tiny_artifact: Path, backend: str, number: signal.Signals, flags: list[str]
) -> None:
    arguments = [str(tiny_artifact), "-", "--backend", backend, *flags]
    audio = (speech_like(2.0) * 32767).astype("<i2").tobytes()
    whole = run("emf-transcribe", *arguments, input=audio).stdout
    with start("emf-transcribe", *arguments, "--partial") as process:
        assert process.stdout and process.stderr
        speak(process, 2.0)
        process.send_signal(number)
        heard, told = process.stdout.read(), process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert told.endswith(b"emf-transcribe: interrupted\n") and b"Traceback" not in told
    if flags == ["--json"]:
        assert json.loads(heard)["results"] == json.loads(whole)["results"]
    else:
        assert heard == whole != b""


def test_recordings_behind_live_audio_are_not_begun(tiny_artifact: Path, folder: Path) -> None:
    with start("emf-transcribe", tiny_artifact, "-", folder / "0.wav", "--partial", "--json") as process:
        assert process.stdout
        speak(process, 1.0)
        process.send_signal(signal.SIGINT)
        entries = json.loads(process.stdout.read())["results"]
        assert process.wait(timeout=60) == 130
    assert [entry["path"] for entry in entries] == ["-"] and entries[0]["text"]
