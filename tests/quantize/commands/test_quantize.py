"""emf-quantize from its arguments to its exit status."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emf.quantize.commands.quantize import main
from emf.runtime.artifact.manifest_file import read_manifest
from tests.signals import SAMPLE_RATE


def test_int8_for_both_engines(artifact: Path, speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--precision", "int8", "--calibration", str(speech), "--num-samples", "20", "--json"]
    assert main([str(artifact), *flags]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [variant["name"] for variant in document["variants"]] == ["onnxruntime/int8", "openvino/int8"]
    manifest = read_manifest(artifact)
    assert {"onnxruntime/int8", "openvino/int8"} <= set(map(str, manifest.variants))
    record = manifest.provenance["variants"]["onnxruntime/int8"]
    assert record["calibration"]["num_samples"] == 20 and record["tool_versions"]["nncf"]


def test_components_give_a_name(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(artifact), "--precision", "int8-weight", "--components", "predictor=fp32"]) == 0
    assert "onnxruntime/int8-weight+fp32+int8-weight" in map(str, read_manifest(artifact).variants)
    assert "openvino/int8-weight+fp32+int8-weight: " in capsys.readouterr().out


def _no_transcripts(folder: Path) -> None:
    soundfile.write(folder / "a.wav", np.ones(SAMPLE_RATE, np.float32) * 0.1, SAMPLE_RATE)
    (folder / "manifest.tsv").write_text("path\na.wav\n", encoding="utf-8")


def _silence(folder: Path) -> None:
    soundfile.write(folder / "a.wav", np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)


def _header_only(folder: Path) -> None:
    (folder / "manifest.tsv").write_text("path\ttranscript\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("prepare", "flags", "words"),
    [
        (_silence, "--precision int8 --calibration {folder}", "found silence"),
        (_header_only, "--precision int8 --calibration {folder}/manifest.tsv", "header row only"),
        (lambda folder: None, "--precision int8 --calibration {folder}", "found none"),
        (lambda folder: None, "--precision int8 --calibration {folder}/none.tsv", "no such file"),
        (_no_transcripts, "--precision auto --dev {folder}/manifest.tsv", "transcript is missing"),
        (lambda folder: None, "--precision auto", "needs --dev"),
        (lambda folder: None, "--precision int8 --dev {folder}", "belongs to --precision auto"),
        (lambda folder: None, "--precision auto --dev {folder} --seven-bit-weights", "belongs to --precision int8"),
        (lambda folder: None, "--precision int8-weight --seven-bit-weights", "belongs to --precision int8"),
        (lambda folder: None, "--precision int8-weight --name fp32", "exists"),
        (lambda folder: None, "--precision int8-weight --name ../x", "expected a variant name"),
        (lambda folder: None, "--precision bf16", "--backends openvino"),
        (
            lambda folder: None,
            "--precision int8 --components encoder=fp32,predictor=fp32,joiner=fp32",
            "other than fp32",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], prepare: object, flags: str, words: str
) -> None:
    folder = tmp_path / "audio"
    folder.mkdir()
    assert callable(prepare)
    prepare(folder)
    before = (artifact / "manifest.json").read_bytes()
    assert main([str(artifact), *flags.format(folder=folder).split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("emf-quantize: ") and words in line
    assert (artifact / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("flags", [["--precision", "int9"], ["--precision", "int8", "--components", "encoder"]])
def test_wrong_usage(artifact: Path, capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(artifact), *flags])
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
