"""emf-export and emf-verify, run as a user runs them, on a tiny model."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from emf.export.commands.export import main as export_main
from emf.export.commands.verify import main as verify_main
from emf.runtime import Recognizer
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.measure.document import to_json
from emf.runtime.speech.error_rate import word_errors
from tests.oracle import CONFIGS, source
from tests.signals import speech_like

NAME = next(iter(CONFIGS))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, its configuration and statistics, a recording."""
    folder = tmp_path_factory.mktemp("model")
    torch.save(source(NAME).rnnt.state_dict(), folder / "model.pt")
    (folder / "model.json").write_text(json.dumps(CONFIGS[NAME]), encoding="utf-8")
    frontend = source(NAME).frontend
    stats = {"mean": frontend.mean, "invstddev": frontend.invstddev}
    (folder / "stats.json").write_text(json.dumps(stats), encoding="utf-8")
    soundfile.write(folder / "speech.wav", speech_like(2.0), 16_000)
    return folder


def arguments(files: Path, out: Path, *more: str) -> list[str]:
    return [
        *("--model", str(files / "model.pt"), "--config", str(files / "model.json"), "--out", str(out)),
        *("--global-stats", str(files / "stats.json")),
        *("--verify-audio", str(files / "speech.wav"), "--verify-seconds", "3", "--json", *more),
    ]


@pytest.fixture(scope="module")
def exported_by_command(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artifacts") / "tiny"
    assert export_main(arguments(files, out)) == 0
    return out


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_export_and_verify(capsys: pytest.CaptureFixture[str], files: Path, exported_by_command: Path) -> None:
    manifest = json.loads((exported_by_command / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["results"]["verify"]["tokens_equal"]
    assert manifest["results"]["verify"]["seconds"] >= 3.0
    capsys.readouterr()
    flags = ["--checkpoint", str(files / "model.pt"), "--config", str(files / "model.json"), "--verify-seconds", "3"]
    assert verify_main([str(exported_by_command), "--audio", str(files / "speech.wav"), *flags, "--json"]) == 0
    found = document(capsys)
    checks = found["checks"]
    assert len(checks) == 13 and all(check["passed"] for check in checks)
    from_waveform = [check["variant"] for check in checks if check["name"] == "tokens from the waveform on"]
    assert from_waveform == ["onnxruntime/fp32", "openvino/fp32"]
    assert [waveform["tokens_equal"] for waveform in found["verify"]["waveform"]] == [True, True]


def test_verify_fails_for_another_checkpoint(
    capsys: pytest.CaptureFixture[str], files: Path, exported_by_command: Path, tmp_path: Path
) -> None:
    state = source(NAME).rnnt.state_dict()
    other = {key: value * 1.01 if key == "joiner.linear.weight" else value for key, value in state.items()}
    torch.save(other, tmp_path / "other.pt")
    flags = ["--checkpoint", str(tmp_path / "other.pt"), "--config", str(files / "model.json"), "--verify-seconds", "3"]
    capsys.readouterr()
    assert verify_main([str(exported_by_command), "--audio", str(files / "speech.wav"), *flags, "--json"]) == 1
    failed = [check for check in document(capsys)["checks"] if not check["passed"]]
    assert [check["name"] for check in failed] == ["parity with PyTorch"]
    assert "joiner" in failed[0]["detail"]


def test_a_tolerance_that_cannot_be_met_leaves_nothing(
    capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path
) -> None:
    assert export_main(arguments(files, tmp_path / "out", "--atol", "1e-12", "--backends", "onnxruntime")) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "deviates" in captured.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_lightning_checkpoint_whose_name_is_not_utf8(files: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / os.fsdecode(b"caf\xe9.ckpt")
    weights = {f"model.{key}": value for key, value in source(NAME).rnnt.state_dict().items()}
    torch.save({"state_dict": weights, "hyper_parameters": {"rate": 0.1}}, checkpoint)
    flags = ["--model", str(checkpoint), "--backends", "openvino"]
    assert export_main([*arguments(files, tmp_path / "out"), *flags]) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["provenance"]["model"] == "caf\\udce9.ckpt"


def test_other_lengths_and_an_int8_cache(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    """Passed the check against torchaudio's model built with these lengths; `emf-verify` builds it again."""
    flags = ["--segment-length", "12", "--right-context", "8", "--left-context", "20", "--cache", "int8"]
    assert export_main(arguments(files, tmp_path / "out", *flags, "--backends", "onnxruntime")) == 0
    found = document(capsys)
    layers, heads, dim = CONFIGS[NAME]["transformer_num_layers"], 1, CONFIGS[NAME]["time_reduction_input_dim"] * 4
    units = 4 * layers * 2 * 20
    assert found["state_bytes"] == layers * 2 * heads * 20 * dim + units + 8
    assert found["verify"]["cache_drift"]["cache"] == "int8" and "cache_words" not in found["verify"]
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.geometry.segment_length, manifest.geometry.right_context_length) == (12, 8)
    assert manifest.geometry.left_context_length == 20 and manifest.samples_per_step == 12 * 160
    trained = {"segment_length": 16, "right_context_length": 4, "left_context_length": 30}
    assert manifest.provenance["trained_lengths"] == trained
    flags = ["--checkpoint", str(files / "model.pt"), "--config", str(files / "model.json"), "--verify-seconds", "3"]
    assert verify_main([str(tmp_path / "out"), "--audio", str(files / "speech.wav"), *flags, "--json"]) == 0
    assert all(check["passed"] for check in document(capsys)["checks"])


def test_what_an_int8_cache_does_to_words(capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path) -> None:
    """Of the recordings with a transcript, within the check's seconds; one beyond them is not measured."""
    for index, seconds in enumerate((1.0, 1.5, 1.0, 1.0)):
        soundfile.write(tmp_path / f"{index}.wav", speech_like(seconds, index), 16_000)
    rows = ["path\ttranscript", "0.wav\tan e", "1.wav\t", "2.wav\tan", "3.wav\tan e an e"]
    (tmp_path / "speech.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    flags = ["--cache", "int8", "--verify-audio", str(tmp_path / "speech.tsv"), "--backends", "onnxruntime"]
    assert export_main(arguments(files, tmp_path / "out", *flags)) == 0
    told = document(capsys)["verify"]["cache_words"]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    found = manifest["results"]["verify"]["cache_words"]
    recognizer = Recognizer.load(tmp_path / "out", num_threads=1, decoding_method="greedy")
    texts = [recognizer.transcribe(speech_like(1.0, index), 16_000).text for index in (0, 2)]
    counts = word_errors(zip(("an e", "an"), texts, strict=True))
    assert set(told) == set(found) == {"greedy", "beam"}
    assert found["greedy"]["wer_converted"] == pytest.approx(counts.rate)
    assert told["greedy"]["wer_converted"] == pytest.approx(counts.rate, abs=1e-6)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--segment-length", "10"), "expected a --segment-length that is a multiple of the model's 4"),
        (("--segment-length", "0"), "expected a --segment-length of at least 4 feature frames, found 0"),
        (("--right-context", "3"), "expected a --right-context that is a multiple of the model's 4"),
        (("--left-context", "3", "--cache", "int8"), "expected a left context of at least a segment"),
    ],
)
def test_lengths_that_do_not_fit_take_one_line(
    capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    assert export_main(arguments(files, tmp_path / "out", *flags)) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings with transcripts that nobody hears in them."""
    folder = tmp_path_factory.mktemp("speech")
    rows = ["path\tspeaker\ttranscript"]
    for index in range(12):
        soundfile.write(folder / f"{index}.wav", speech_like(3.0, index), 16_000)
        rows.append(f"{index}.wav\t{index % 2}\t{'an ' * 40}")
    (folder / "manifest.tsv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def test_a_smaller_model_and_what_it_costs(
    capsys: pytest.CaptureFixture[str], files: Path, speech: Path, tmp_path: Path
) -> None:
    (tmp_path / "symbols.txt").write_text("\n".join(map(str, range(20))), encoding="utf-8")
    flags = ["--cache-rank", "5", "--ffn-neurons", "0.5", "--symbols", str(tmp_path / "symbols.txt"), "--cache", "int8"]
    flags += ["--calibration", str(speech), "--max-wer-increase", "1", "--backends", "onnxruntime"]
    assert export_main(arguments(files, tmp_path / "out", *flags)) == 0
    found = document(capsys)
    manifest = read_manifest(tmp_path / "out")
    conversion = json.loads(json.dumps(found["conversion"]))
    assert conversion == to_json(manifest.provenance["conversion"])
    assert sum(conversion["ranks"]) == 10 and conversion["neurons"] == [24, 24]
    assert conversion["symbols"] == [*range(20), 32] and manifest.geometry.num_symbols == 21
    assert found["state_bytes"] == 30 * 10 + 4 * 2 * 30 + 8
    assert conversion["against_original"]["held_out"] == "utterances"
    assert set(conversion["against_original"]["searches"]) == {"greedy", "beam"}
    assert len((tmp_path / "out" / "tokens.txt").read_text(encoding="utf-8").splitlines()) == 21
    assert verify_main([str(tmp_path / "out"), "--audio", str(files / "speech.wav"), "--json"]) == 0
    assert document(capsys)["passed"]
    assert verify_main([str(tmp_path / "out"), "--checkpoint", str(files / "model.pt")]) == 2
    assert "made smaller" in capsys.readouterr().err.splitlines()[-1]
    assert export_main(["--model", str(tmp_path / "out"), "--out", str(tmp_path / "again"), "--cache-rank", "4"]) == 2
    assert "found an artifact" in capsys.readouterr().err.splitlines()[-1]


def test_lost_words_are_refused_and_leave_nothing(
    capsys: pytest.CaptureFixture[str], files: Path, speech: Path, tmp_path: Path
) -> None:
    flags = ["--cache-rank", "2", "--calibration", str(speech), "--max-wer-increase", "-1"]
    assert export_main(arguments(files, tmp_path / "out", *flags)) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "--max-wer-increase" in captured.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--cache-rank", "33"), "at most 32, the model's width"),
        (("--cache-rank", "0"), "a rank of 1 or more"),
        (("--cache-rank", "2.5"), "a rank of 1 or more"),
        (("--cache-rank", "1.0"), "a rank of 1 or more"),
        (("--ffn-neurons", "0"), "above 0 and at most 1"),
        (("--ffn-neurons", "1.01"), "above 0 and at most 1"),
        (("--calibration", "."), "belongs to --cache-rank"),
        (("--max-wer-increase", "0.1"), "belongs to --cache-rank"),
        (("--symbols", "nowhere"), "nowhere"),
        (("--cache-rank", "4", "--calibration", "nowhere"), "nowhere"),
        (("--cache-rank", "4", "--calibration", "silence"), "found silence"),
        (("--ffn-neurons", "0.5", "--calibration", "click"), "expected at least 24 frames of speech"),
    ],
)
def test_conversions_without_sense_take_one_line(
    capsys: pytest.CaptureFixture[str],
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, samples in (("silence", np.zeros(32_000, np.float32)), ("click", speech_like(0.2))):
        Path(name).mkdir()
        soundfile.write(Path(name) / "a.wav", samples, 16_000)
    try:
        assert export_main(arguments(files, tmp_path / "out", *flags)) == 2
    except SystemExit as stop:
        assert stop.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_an_existing_artifact_stays(capsys: pytest.CaptureFixture[str], files: Path, exported_by_command: Path) -> None:
    before = (exported_by_command / "manifest.json").read_bytes()
    assert export_main(arguments(files, exported_by_command)) == 2
    assert "--force" in capsys.readouterr().err
    assert (exported_by_command / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("flag", ["--config", "--tokens", "--global-stats", "--verify-audio"])
def test_missing_files_take_one_line(
    capsys: pytest.CaptureFixture[str], files: Path, tmp_path: Path, flag: str
) -> None:
    assert export_main([*arguments(files, tmp_path / "out"), flag, str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
