"""The search: what it refuses, what it fits, what it says."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from emf.quantize import auto
from emf.quantize.commands.quantize import main
from emf.quantize.evaluation import Evaluation, evaluate_here
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.speech.utterances import Utterance


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode without a new process for every candidate: memory is not what is tested here."""
    monkeypatch.setattr(auto, "evaluate", evaluate_here)


def _arguments(artifact: Path, speech: Path, budget: str) -> list[str]:
    flags = f"--precision auto --backends onnxruntime --beam-width 2 --num-samples 20 --max-wer-increase {budget}"
    return [str(artifact), *flags.split(), "--calibration", str(speech), "--dev", str(speech)]


def test_an_impossible_budget_is_refused_after_the_last_matrix(
    artifact: Path, speech: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: dict[Variant, None] = {}

    def record(root: Path, variant: Variant, utterances: Sequence[Utterance], decoding: Decoding) -> Evaluation:
        tried[variant] = None
        return evaluate_here(root, variant, utterances, decoding)

    monkeypatch.setattr(auto, "evaluate", record)
    before = (artifact / "manifest.json").read_bytes()
    assert main(_arguments(artifact, speech, "-1")) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "expected a variant within -100 points" in message and "raise --max-wer-increase" in message
    assert (artifact / "manifest.json").read_bytes() == before
    assert sorted(path.name for path in artifact.parent.iterdir()) == ["artifact"]
    freed = [Variant("onnxruntime", f"free{count}") for count in (1, 2, 4, 8)]
    assert list(tried)[-4:] == freed, "of nine matrices"


def test_the_choice_is_explained_and_recorded(artifact: Path, speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*_arguments(artifact, speech, "1"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = document["auto"]["onnxruntime"]
    assert len(found["tried"]) >= 9
    assert min(found["tried"], key=lambda candidate: candidate["chunk_ms"])["name"] == found["chosen"]["name"]
    assert f"{found['chosen']['chunk_ms']:.2f} ms" in found["reason"]
    manifest = read_manifest(artifact)
    assert manifest.provenance["variants"]["onnxruntime/auto"]["auto"] == found


def test_a_blank_penalty_is_fitted_where_words_are_deleted(
    artifact: Path, speech: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Candidates that hear nothing without a penalty, and everything with one of 1."""

    def deaf(root: Path, variant: Variant, utterances: Sequence[Utterance], decoding: Decoding) -> Evaluation:
        found = evaluate_here(root, variant, utterances, decoding.with_options(blank_penalty=0.0))
        hears = variant.is_float or decoding.options.blank_penalty == 1.0
        return found if hears else replace(found, texts=tuple("" for _ in found.texts))

    monkeypatch.setattr(auto, "evaluate", deaf)
    assert main([*_arguments(artifact, speech, "0.1"), "--json"]) == 0
    chosen = json.loads(capsys.readouterr().out)["auto"]["onnxruntime"]["chosen"]
    assert chosen["blank_penalty"] == 1.0
    assert read_manifest(artifact).blank_penalties == {"onnxruntime/auto": 1.0}


def test_a_blank_penalty_that_is_given_is_everybodys(
    artifact: Path, speech: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Candidates that delete words do not get another one."""

    def deaf(root: Path, variant: Variant, utterances: Sequence[Utterance], decoding: Decoding) -> Evaluation:
        assert decoding.options.blank_penalty == 0.5 and decoding.options.step_max_tokens == 3
        found = evaluate_here(root, variant, utterances, decoding)
        return found if variant.is_float else replace(found, texts=tuple("" for _ in found.texts))

    monkeypatch.setattr(auto, "evaluate", deaf)
    flags = ["--blank-penalty", "0.5", "--step-max-tokens", "3"]
    assert main([*_arguments(artifact, speech, "1"), *flags]) == 0
    assert read_manifest(artifact).blank_penalties == {"onnxruntime/auto": 0.5}
