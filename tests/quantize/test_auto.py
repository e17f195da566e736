"""The search: what it refuses, what it fits, what it says."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from emf.quantize import auto
from emf.quantize.commands.quantize import main
from emf.quantize.evaluation import Evaluation, evaluate_here
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.measure.document import to_json
from emf.runtime.measure.latency import Measurements
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.speech.utterances import Utterance


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode without a new process for every candidate, and few mixtures: they have a test of their own."""
    monkeypatch.setattr(auto, "evaluate", evaluate_here)
    monkeypatch.setattr(auto, "MOST_MIXTURES", 2)
    monkeypatch.setattr(auto, "FINAL_ROUNDS", 1)


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
    assert to_json(manifest.provenance["variants"]["onnxruntime/auto"]["auto"]) == found


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


def _component_ms(part: str, component: str) -> float:
    """What a graph takes in this imagined backend: 4 bits gain most in the encoder, 8 bits in the others."""
    gains = {"int8": 3.0, "int8-weight": 2.0, "int4-weight": 6.0 if component == "encoder" else 1.0}
    return 10.0 - gains.get(part, 0.0)


def test_mixtures_are_found_within_a_bound(
    artifact: Path, speech: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An encoder of 4 bits with components of 8 bits is the fastest; the 8-bit predictor mishears every word."""
    names = ("encoder", "predictor", "joiner")
    tried: Counter[Variant] = Counter()
    heard: list[Evaluation] = []

    def imagine(root: Path, variant: Variant, utterances: Sequence[Utterance], decoding: Decoding) -> Evaluation:
        tried[variant] += 1
        if not heard:
            heard.append(evaluate_here(root, variant, utterances, decoding))
        mixed = variant.precision.split("+")
        parts: Mapping[str, str] = dict(zip(names, mixed * (3 if len(mixed) == 1 else 1), strict=True))
        seconds = {name: _component_ms(parts[name], name) / 1e3 for name in names}
        measurements = Measurements(chunks=[sum(seconds.values())], first_results=[0.1], components=[seconds])
        measurements.stable_delays.append(0.1)
        wrong = parts["predictor"] == "int8"
        texts = tuple(" ".join("wrong" for _ in text.split()) if wrong else text for text in heard[0].texts)
        return replace(heard[0], measurements=measurements, texts=texts)

    monkeypatch.setattr(auto, "evaluate", imagine)
    monkeypatch.setattr(auto, "MOST_MIXTURES", 8)
    assert main([*_arguments(artifact, speech, "0.01"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["auto"]["onnxruntime"]
    assert found["chosen"]["name"] == "int4-weight+int8-weight+int8"
    assert found["mixtures"] == 4**3 - 1
    assert len(found["tried"]) == 9 + 7, "each component alone, and what mixtures of precisions no other one beats"
    assert found["decodings"] == sum(tried.values()) == 1 + len(found["tried"]) + 4 * auto.FINAL_ROUNDS
    assert f"of {len(found['tried'])} tried (63 mixtures of precisions are possible" in found["reason"]
    encoder = read_manifest(artifact).provenance["variants"]["onnxruntime/auto"]["recipe"]["encoder"]
    assert encoder["precision"] == "int4-weight" and Variant("onnxruntime", FLOAT) in tried
