"""The emf-confidence command, run as a user runs it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import soundfile

from emf.runtime import Recognizer, Word
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.commands.confidence import judge, main
from emf.runtime.measure.document import to_json
from tests.runtime.artifact.damage import copy_artifact
from tests.signals import SAMPLE_RATE, speech_like


@pytest.fixture
def artifact(tiny_artifact: Path, tmp_path: Path) -> Path:
    return copy_artifact(tiny_artifact, tmp_path / "artifact")


@pytest.fixture
def recordings(tiny_artifact: Path, tmp_path: Path) -> Path:
    """A manifest whose transcripts are what is heard, but for the words of the least confidence."""
    recognizer = Recognizer.load(tiny_artifact, num_threads=1, beam_width=2)
    rows = ["path\ttranscript"]
    for index in range(6):
        samples = speech_like(3.0, seed=index)
        soundfile.write(tmp_path / f"{index}.wav", samples, SAMPLE_RATE, subtype="FLOAT")
        heard = recognizer.transcribe(samples, SAMPLE_RATE).words
        least = min(word.confidence for word in heard)
        rows.append(f"{index}.wav\t" + " ".join("?x" if w.confidence == least else w.word for w in heard))
    (tmp_path / "dev.tsv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "dev.tsv"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([*map(str, arguments), "--num-threads", "1", "--beam-width", "2"])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def confidences(artifact: Path) -> Iterator[float]:
    for word in Recognizer.load(artifact, num_threads=1, beam_width=2).transcribe(speech_like(3.0), SAMPLE_RATE).words:
        yield word.confidence


def test_it_fits_writes_and_can_be_repeated(
    capsys: pytest.CaptureFixture[str], artifact: Path, recordings: Path
) -> None:
    raw = list(confidences(artifact))
    documents: list[dict[str, Any]] = []
    for _ in range(2):
        status, out, err = run(capsys, artifact, "--dev", recordings, "--json")
        documents.append(json.loads(out))
        assert status == 0, err
    assert documents[0] == documents[1], "the raw confidences are fitted, not those calibrated before"
    (document, _) = documents
    assert document["written"] and 0 < document["correct"] < document["words"]
    for table in ("before", "after"):
        assert sum(one["count"] for one in document[table]["bins"]) == document["words"]
    errors = [document[table]["expected_calibration_error"] for table in ("before", "after")]
    assert errors[1] < errors[0]
    curve = read_manifest(artifact).confidence
    assert curve is not None and document["calibration"] == to_json(asdict(curve))
    assert list(confidences(artifact)) == pytest.approx([curve(confidence) for confidence in raw])


def test_a_dry_run_changes_nothing(capsys: pytest.CaptureFixture[str], artifact: Path, recordings: Path) -> None:
    before = (artifact / "manifest.json").read_bytes()
    status, out, _ = run(capsys, artifact, "--dev", recordings, "--dry-run", "--bins", "5")
    assert status == 0
    assert (artifact / "manifest.json").read_bytes() == before
    assert out.count("expected calibration error") == 2
    assert out.rstrip().endswith("not written")
    assert "0.80 to 1.00" in out or "0.60 to 0.80" in out


def test_speech_that_teaches_nothing(capsys: pytest.CaptureFixture[str], artifact: Path, recordings: Path) -> None:
    rows = recordings.read_text(encoding="utf-8").splitlines()
    recordings.write_text("\n".join([rows[0], *(row.split("\t")[0] + "\t?" for row in rows[1:])]), encoding="utf-8")
    status, out, err = run(capsys, artifact, "--dev", recordings)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1 and "take more speech" in err
    assert read_manifest(artifact).confidence is None


def test_one_recording_is_not_enough(capsys: pytest.CaptureFixture[str], artifact: Path, recordings: Path) -> None:
    rows = recordings.read_text(encoding="utf-8").splitlines()
    recordings.write_text("\n".join(rows[:2]), encoding="utf-8")
    status, out, err = run(capsys, artifact, "--dev", recordings)
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert "expected at least 2 recordings" in err and "found 1" in err


def test_which_words_are_right() -> None:
    words = [Word(text, 0.0, 0.0, 0.1 * index) for index, text in enumerate(["The", "...", "it's-so", "cat", "sat"])]
    heard = judge(words, "the not so cat")
    assert heard.confidences == pytest.approx((0.0, 0.2, 0.3, 0.4))
    assert heard.correct == (True, False, True, False)
