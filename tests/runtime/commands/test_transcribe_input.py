"""What emf-transcribe is given to read, and the rows of its references."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emf.runtime.commands.transcribe import main
from tests.runtime.audio.sound_bytes import encoded, pcm, wav
from tests.signals import SAMPLE_RATE, speech_like

COMMAND = (sys.executable, "-c", "import sys; from emf.runtime.commands.transcribe import main; sys.exit(main())")


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "speech.wav", speech_like(2.0), SAMPLE_RATE, subtype="PCM_16")
    return tmp_path / "speech.wav"


@pytest.mark.parametrize(
    "data", [wav(pcm()), encoded("FLAC", "PCM_16"), encoded("OGG"), encoded("MP3"), pcm()], ids=lambda data: data[:4]
)
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input_is_read_as_what_it_is(tiny_artifact: Path, tmp_path: Path, data: bytes, name: str) -> None:
    raw = data[:2] == pcm()[:2]
    if raw and name != "-":
        pytest.skip("raw audio comes from - alone")
    path = tmp_path / "audio"
    path.write_bytes(wav(data) if raw else data)
    found, expected = (
        subprocess.run([*COMMAND, str(tiny_artifact), audio, "--json"], input=given, capture_output=True, check=True)
        for audio, given in ((name, data), (str(path), b""))
    )
    results = [json.loads(run.stdout)["results"][0] for run in (found, expected)]
    assert results[0]["text"] and results[0]["words"] == results[1]["words"]
    assert results[0]["duration_s"] == pytest.approx(results[1]["duration_s"])


@pytest.mark.parametrize("names", [("-", "-"), ("-", "/dev/stdin"), ("/dev/stdin", "-", "speech.wav")])
def test_standard_input_cannot_be_read_twice(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, names: tuple[str, ...]
) -> None:
    assert main([str(tiny_artifact), *names]) == 2
    assert "expected standard input once" in capsys.readouterr().err


def test_every_row_of_a_recording_has_its_own_transcript(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, speech: Path
) -> None:
    table = speech.with_name("twice.tsv")
    table.write_text("path\ttranscript\nspeech.wav\tone\nspeech.wav\ttwo\n", encoding="utf-8")
    other = speech.with_name("once.tsv")
    other.write_text("path\ttranscript\nspeech.wav\tone\n", encoding="utf-8")

    def references(reference: Path) -> list[str]:
        assert main([str(tiny_artifact), str(table), "--reference", str(reference), "--json"]) == 0
        return [entry["reference"] for entry in json.loads(capsys.readouterr().out)["results"]]

    assert references(table) == ["one", "two"]
    assert references(other) == ["one", "one"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder, "this is a folder; name the files in it"),
        (lambda folder: raw_file(folder), "expected a sound file that libsndfile reads"),
        (lambda folder: integers(folder), "where they are integers kept as floats"),
    ],
    ids=["folder", "raw", "integers"],
)
def test_what_cannot_be_read_takes_one_line(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    assert main([str(tiny_artifact), str(make(tmp_path))]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def raw_file(folder: Path) -> Path:
    (folder / "speech.raw").write_bytes(pcm())
    return folder / "speech.raw"


def integers(folder: Path) -> Path:
    soundfile.write(folder / "loud.wav", np.float32(32767) * speech_like(1.0), SAMPLE_RATE, subtype="FLOAT")
    return folder / "loud.wav"


def test_a_broken_file_gives_what_is_there_and_says_so(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, speech: Path
) -> None:
    speech.write_bytes(speech.read_bytes()[:40_044])
    assert main([str(tiny_artifact), str(speech), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["results"][0]["duration_s"] == pytest.approx(1.25)
    assert "it breaks off" in err and "1.25 s of audio are read" in err


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_of_several_files_are_apart(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, speech: Path, form: str
) -> None:
    def printed(*files: Path) -> str:
        assert main([str(tiny_artifact), *map(str, files), "--format", form]) == 0
        return capsys.readouterr().out

    alone = printed(speech)
    assert "==>" not in alone
    assert printed(speech, speech).split(f"==> {speech} <==\n") == ["", alone + "\n", alone]
