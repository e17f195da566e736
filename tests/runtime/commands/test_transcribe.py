"""The emf-transcribe command, run as a user runs it."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emf.runtime.commands.transcribe import main
from tests.signals import SAMPLE_RATE, speech_like


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    rows = ["path\tduration_s\tspeaker\ttranscript"]
    for index, (seconds, rate) in enumerate([(1.5, 16_000), (2.3, 8_000), (0.05, 44_100)]):
        name = f"{index}.wav"
        soundfile.write(folder / name, speech_like(seconds, seed=index, sample_rate=rate), rate)
        rows.append(f"{name}\t{seconds}\tnobody\tsome words")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_json_is_one_object(capsys: pytest.CaptureFixture[str], tiny_artifact: Path, recordings: Path) -> None:
    table = recordings / "manifest.tsv"
    status, out, err = run(capsys, tiny_artifact, table, "--reference", table, "--json", "--num-threads", 1)
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert [Path(entry["path"]).name for entry in document["results"]] == ["0.wav", "1.wav", "2.wav"]
    assert [entry["duration_s"] for entry in document["results"]] == pytest.approx([1.5, 2.3, 0.05], abs=1e-3)
    assert document["wer"] > 0 and document["rtf"] > 0
    assert document["results"][0]["words"][0].keys() == {"word", "start", "end", "confidence"}


def test_a_batch_of_files_gives_what_each_gives_alone(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, recordings: Path
) -> None:
    files = sorted(recordings.glob("*.wav"))
    _, together, _ = run(capsys, tiny_artifact, *files, "--json")
    alone = [json.loads(run(capsys, tiny_artifact, file, "--json")[1])["results"][0] for file in files]
    assert json.loads(together)["results"] == alone


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_forms(capsys: pytest.CaptureFixture[str], tiny_artifact: Path, recordings: Path, form: str) -> None:
    status, out, _ = run(capsys, tiny_artifact, recordings / "0.wav", "--format", form)
    document = json.loads(run(capsys, tiny_artifact, recordings / "0.wav", "--json")[1])
    text = document["results"][0]["text"]
    assert status == 0 and text
    if form == "text":
        assert out == text + "\n"
    else:
        assert out.startswith({"srt": "1\n00:00:0", "vtt": "WEBVTT\n"}[form])
        shown = [line for line in out.splitlines() if line and "-->" not in line and line != "WEBVTT"]
        assert [line for line in shown if not line.isdigit()] and " ".join(shown).split()[-1] == text.split()[-1]


def test_raw_audio_from_standard_input(tiny_artifact: Path, tmp_path: Path) -> None:
    samples = (speech_like(2.0) * 32767).astype(np.int16)
    soundfile.write(tmp_path / "same.wav", samples, 16_000)
    command = [sys.executable, "-c", "import sys; from emf.runtime.commands.transcribe import main; sys.exit(main())"]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    texts = [
        subprocess.run(
            [*command, str(tiny_artifact), audio], input=data, capture_output=True, check=True, env=environment
        ).stdout
        for audio, data in (("-", samples.tobytes()), (str(tmp_path / "same.wav"), b""))
    ]
    assert texts[0] == texts[1] != b""


def test_channels(capsys: pytest.CaptureFixture[str], tiny_artifact: Path, tmp_path: Path) -> None:
    mono = speech_like(1.0)
    soundfile.write(tmp_path / "mono.wav", mono, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "both.wav", np.stack([0 * mono, mono], axis=1), 16_000, subtype="FLOAT")
    expected = run(capsys, tiny_artifact, tmp_path / "mono.wav")[1]
    assert run(capsys, tiny_artifact, tmp_path / "both.wav", "--channel", 1)[1] == expected
    assert run(capsys, tiny_artifact, tmp_path / "both.wav", "--channel", 2)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.wav"], "no such file"),
        (["{readme}"], "expected a sound file"),
        (["{wav}", "--precision", "int3"], "expected a variant"),
        (["{wav}", "--reference", "{readme}"], "expected a header row"),
        (["{wav}", "--phrases", "nowhere.txt"], "expected a text file"),
    ],
)
def test_bad_input_takes_one_line(
    capsys: pytest.CaptureFixture[str],
    tiny_artifact: Path,
    recordings: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "readme.txt").write_text("not audio\n", encoding="utf-8")
    places = {"readme": tmp_path / "readme.txt", "wav": recordings / "0.wav"}
    status, out, err = run(capsys, tiny_artifact, *[argument.format(**places) for argument in arguments])
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1 and err.startswith("emf-transcribe: ")


def test_wrong_usage_takes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["somewhere", "x.wav", "--beam-width", "none"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_partial_text_grows_and_its_stable_part_never_changes(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "speech.wav", speech_like(4.0), SAMPLE_RATE, subtype="FLOAT")
    assert main([str(tiny_artifact), str(tmp_path / "speech.wav"), "--partial", "--stable-delay", "0.5"]) == 0
    printed = capsys.readouterr()
    lines = [line.split("|") for line in printed.err.splitlines() if "|" in line]
    stable = [line[0] for line in lines]
    assert len(lines) > 3 and stable[-1] and lines == [line for line in lines if len(line) == 2]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(stable))
    assert printed.out.strip() == "".join(lines[-1])
