"""A corpus to rows: the same by every kind of worker, taken up again after a crash, each row once."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import pytest
import soundfile

from emf.runtime.corpus.job import Item, Job, Outcome
from emf.runtime.corpus.processes import transcribe_in_processes
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.speech.transcription import Blocks
from tests.entry_points import run, start
from tests.runtime.commands.test_transcribe import run as transcribe
from tests.signals import SAMPLE_RATE, speech_like

NUM_FILES = 15


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of several lengths; one is listed twice, one is no audio, one is missing."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = ["path\ttranscript", "text.wav\tbad", "0.wav\tsome words", "nowhere.wav\tmissing"]
    (folder / "text.wav").write_text("not audio", encoding="utf-8")
    for index in range(NUM_FILES):
        soundfile.write(folder / f"{index}.wav", speech_like(0.4 + index % 4, seed=index), SAMPLE_RATE)
        rows.append(f"{index}.wav\tsome words")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


LISTED = Counter({"0.wav": 2, "text.wav": 1, "nowhere.wav": 1, **{f"{index}.wav": 1 for index in range(1, NUM_FILES)}})


def read(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def names(rows: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(Path(row["path"]).name for row in rows)


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_say_what_each_recording_says_alone(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, corpus: Path, tmp_path: Path, workers: int
) -> None:
    out, table = tmp_path / "rows.jsonl", corpus / "manifest.tsv"
    status, printed, err = transcribe(capsys, tiny_artifact, table, "--out", out, "--workers", workers, "--json")
    assert (status, err) == (1, "")
    rows, summary = read(out), json.loads(printed)
    assert names(rows) == LISTED
    _, alone, _ = transcribe(capsys, tiny_artifact, *sorted(corpus.glob("[0-9]*.wav")), "--batch-size", 1, "--json")
    expected = {entry["path"]: entry for entry in json.loads(alone)["results"]}
    heard = [row for row in rows if "error" not in row]
    for row in heard:
        assert row["text"] == expected[row["path"]]["text"] and row["duration_s"] == expected[row["path"]]["duration_s"]
        assert [w["word"] for w in row["words"]] == [w["word"] for w in expected[row["path"]]["words"]]
    wer = jiwer.wer([row["reference"] for row in heard], [row["text"] for row in heard])
    assert (summary["rows"], summary["failed"]) == (NUM_FILES + 3, 2)
    assert summary["wer"] == pytest.approx(wer) and summary["hours_per_hour"] > 0
    assert summary["audio_s"] == pytest.approx(sum(row["duration_s"] for row in heard))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_and_repeated_each_row_is_written_once(
    tiny_artifact: Path, corpus: Path, tmp_path: Path, workers: str
) -> None:
    out = tmp_path / "rows.jsonl"
    arguments: list[str | bytes | Path] = [
        tiny_artifact,
        corpus,
        "--out",
        out,
        "--workers",
        workers,
        "--batch-size",
        "2",
        "--num-threads",
        "1",
    ]
    for kept in (3, 8):
        process = start("emf-transcribe", *arguments)
        deadline = time.monotonic() + 60
        while not out.exists() or out.read_bytes().count(b"\n") < kept:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
        process.communicate()
        with out.open("ab") as rows:
            rows.write(
                b'{"path": "/torn',
            )
    done = run("emf-transcribe", *arguments, "--json")
    assert done.returncode == 1, done.stderr
    assert names(read(out)) == LISTED
    summary = json.loads(done.stdout)
    assert summary["rows_before"] >= 8 and summary["run"]["rows"] == NUM_FILES + 3 - summary["rows_before"]
    content = out.read_bytes()
    assert run("emf-transcribe", *arguments).returncode == 1 and out.read_bytes() == content


def test_failed_recordings_are_tried_again_where_asked(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, tmp_path: Path
) -> None:
    out, audio = tmp_path / "rows.jsonl", [tmp_path / f"{index}.wav" for index in range(2)]
    soundfile.write(audio[0], speech_like(0.5), SAMPLE_RATE)
    assert transcribe(capsys, tiny_artifact, *audio, "--out", out)[0] == 1
    soundfile.write(audio[1], speech_like(0.5), SAMPLE_RATE)
    assert transcribe(capsys, tiny_artifact, *audio, "--out", out)[0] == 1
    assert transcribe(capsys, tiny_artifact, *audio, "--out", out, "--retry-failed")[0] == 0
    assert [row.get("error") for row in read(out)] == [None, None]


def test_rows_of_other_options_are_refused(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, corpus: Path, tmp_path: Path
) -> None:
    out, audio = tmp_path / "rows.jsonl", corpus / "0.wav"
    assert transcribe(capsys, tiny_artifact, audio, "--out", out, "--num-threads", 1)[0] == 0
    assert transcribe(capsys, tiny_artifact, audio, "--out", out, "--num-threads", 2)[0] == 0
    content = out.read_bytes()
    status, _, err = transcribe(capsys, tiny_artifact, audio, "--out", out, "--beam-width", 4)
    assert (status, err.count("\n")) == (2, 1) and "beam_width 10 and not 4" in err
    (tmp_path / "rows.jsonl.source.json").unlink()
    status, _, err = transcribe(capsys, tiny_artifact, audio, "--out", out, "--beam-width", 4)
    assert (status, err.count("\n")) == (2, 1) and "other options" in err and out.read_bytes() == content
    out.write_text('{"path": "x"}\n', encoding="utf-8")
    status, _, err = transcribe(capsys, tiny_artifact, audio, "--out", out, "--beam-width", 4)
    assert (status, err.count("\n")) == (2, 1) and "line 1: expected a row" in err


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def busy_run(artifact: Path, folder: Path, out: Path, seconds: float = 40.0) -> "subprocess.Popen[bytes]":
    """A run of two workers that has written some rows, and has long recordings before it."""
    for index in range(8):
        soundfile.write(folder / f"{index}.wav", speech_like(seconds if index > 3 else 0.3, seed=index), SAMPLE_RATE)
    process = start("emf-transcribe", artifact, folder, "--out", out, "--workers", "2", "--batch-size", "2")
    deadline = time.monotonic() + 60
    while not out.exists() or out.read_bytes().count(b"\n") < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    return process


def test_a_second_writer_and_an_interrupt(
    capsys: pytest.CaptureFixture[str], tiny_artifact: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "audio", tmp_path / "rows.jsonl"
    folder.mkdir()
    process = busy_run(tiny_artifact, folder, out)
    workers = children_of(process.pid)
    status, _, err = transcribe(capsys, tiny_artifact, folder, "--out", out)
    assert (status, err.count("\n")) == (2, 1) and "another process writes to it" in err
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=120)
    assert (process.returncode, printed, said) == (130, b"", b"emf-transcribe: interrupted\n")
    assert len(workers) == 2 and not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert read(out)


def test_a_worker_that_is_killed_is_replaced(tiny_artifact: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "audio", tmp_path / "rows.jsonl"
    folder.mkdir()
    process = busy_run(tiny_artifact, folder, out, 12.0)
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (0, b"")
    assert names(read(out)) == Counter(f"{index}.wav" for index in range(8))


def test_workers_end_with_the_process_that_started_them(tiny_artifact: Path, tmp_path: Path) -> None:
    folder = tmp_path / "audio"
    folder.mkdir()
    process = busy_run(tiny_artifact, folder, tmp_path / "rows.jsonl")
    workers = children_of(process.pid)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class DeadlyJob(Job):
    """A job in which a recording kills the process that reads it."""

    def read(self, path: Path) -> Blocks:
        if path.name == "2.wav":
            os.kill(os.getpid(), signal.SIGKILL)
        return Job.read(self, path)


def test_a_recording_that_kills_its_worker_is_given_up(tiny_artifact: Path, corpus: Path) -> None:
    job = DeadlyJob(tiny_artifact, Decoding(RecognizerOptions(num_threads=1)), width=3)
    items = [Item(number, corpus / f"{number}.wav") for number in range(8)]
    outcomes: list[Outcome] = [one for batch in transcribe_in_processes(job, items, 2) for one in batch]
    assert Counter(outcome.number for outcome in outcomes) == Counter(range(8))
    failed = {one.number: one.document["error"] for one in outcomes if "error" in one.document}
    assert failed.keys() == {2} and "ended by signal 9, twice" in failed[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "2"], "expected --out FILE with --workers"),
        (["--cluster", "ray"], "expected --out FILE with --cluster"),
        (["--out", "{out}", "--partial"], "expected no --partial with --out"),
        (["--out", "{out}", "--send-audio"], "expected --cluster with --send-audio"),
        (["--out", "{out}", "--workers", "2", "--precision", "int3"], "expected a variant"),
        (["--out", "{missing}/rows.jsonl"], "No such file"),
    ],
)
def test_wrong_flags_take_one_line(
    capsys: pytest.CaptureFixture[str],
    tiny_artifact: Path,
    corpus: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    places = {"out": tmp_path / "rows.jsonl", "missing": tmp_path / "missing"}
    given = [argument.format(**places) for argument in arguments]
    status, out, err = transcribe(capsys, tiny_artifact, corpus, *given)
    assert (status, out, err.count("\n")) == (2, "", 1) and message in err
    assert not (tmp_path / "rows.jsonl").exists()
