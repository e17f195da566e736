"""The report: its figures recomputed, its page opened."""

import copy
import json
from pathlib import Path
from typing import Any

import jiwer
import pytest
import soundfile

from emf.quantize.commands.report import main
from emf.quantize.report.recommend import recommend
from emf.runtime import Recognizer
from emf.runtime.speech.utterances import read_speech_manifest
from tests.quantize.report.example_rows import variant_row
from tests.runtime.pages.reading import read_page
from tests.skeleton import expected_skeleton, in_order, pin, skeleton

VARIANTS = "onnxruntime/int8,openvino/int4-weight"
FIELDS = [
    "name",
    "backend",
    "precision",
    "bytes",
    "wer",
    "cer",
    "substitutions",
    "deletions",
    "insertions",
    "wer_delta",
    "wer_delta_ci95",
    "token_agreement",
    "rtf",
    "ttft_ms",
    "chunk_ms",
    "components_ms",
    "peak_rss_bytes",
    "streams_realtime",
]


@pytest.fixture(scope="module")
def report(quantized: Path, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two variants of the tiny artifact."""
    out = tmp_path_factory.mktemp("report")
    flags = ["--beam-width", "2", "--num-threads", "1", "--drift-seconds", "4"]
    status = main([str(quantized), "--audio", str(speech), "--variants", VARIANTS, "--out", str(out), *flags])
    assert status == 0
    return out


@pytest.fixture(scope="module")
def document(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((report / "report.json").read_text(encoding="utf-8"))
    return found


def test_every_field_is_there(document: dict[str, Any]) -> None:
    names = ["onnxruntime/fp32", "onnxruntime/int8", "openvino/fp32", "openvino/int4-weight"]
    assert [variant["name"] for variant in document["variants"]] == names
    for variant in document["variants"]:
        assert set(FIELDS) <= set(variant)
        assert set(variant["chunk_ms"]) == {"mean", "p50", "p90", "p99"}
        assert set(variant["components_ms"]) == {"features", "encoder", "predictor", "joiner", "search"}
        assert variant["drift_db"] and variant["operators"]
    assert document["machine"]["instruction_sets"] is not None


def test_the_skeleton_stays_as_it_is(document: dict[str, Any]) -> None:
    found, expected = copy.deepcopy(document), expected_skeleton("report_skeleton.json")
    pin(found["machine"], instruction_sets=["avx2"], caches={})
    for variant in found["variants"]:
        pin(variant["bandwidth"], fits_in="L1")
    pin(expected, baselines=[])
    assert in_order(skeleton(found)) == in_order(expected)


def test_word_error_rate_is_jiwers(document: dict[str, Any], quantized: Path, speech: Path) -> None:
    utterances = read_speech_manifest(speech)
    references = [utterance.transcript or "" for utterance in utterances]
    for variant in document["variants"]:
        backend, _, precision = variant["name"].partition("/")
        recognizer = Recognizer.load(quantized, backend=backend, precision=precision, beam_width=2, num_threads=1)
        texts = []
        for utterance in utterances:
            samples, rate = soundfile.read(utterance.path, dtype="float32")
            texts.append(recognizer.transcribe(samples, rate).text)
        assert variant["wer"] == pytest.approx(jiwer.wer(references, texts))
        assert variant["cer"] == pytest.approx(jiwer.cer(references, texts))
        counts = jiwer.process_words(references, texts)
        assert (variant["substitutions"], variant["deletions"]) == (counts.substitutions, counts.deletions)


def test_changes_are_against_fp32_of_the_same_engine(document: dict[str, Any]) -> None:
    by_name = {variant["name"]: variant for variant in document["variants"]}
    for name, variant in by_name.items():
        baseline = by_name[f"{name.partition('/')[0]}/fp32"]
        assert variant["wer_delta"] == pytest.approx(variant["wer"] - baseline["wer"])
        low, high = variant["wer_delta_ci95"]
        assert low <= variant["wer_delta"] <= high
    assert by_name["openvino/fp32"]["token_agreement"] == 1.0
    assert by_name["openvino/fp32"]["drift_db"] == [150.0]


def test_the_component_matrix_is_whole(document: dict[str, Any]) -> None:
    wer = {variant["name"]: variant["wer"] for variant in document["variants"]}
    rows = document["component_matrix"]["onnxruntime"]
    assert len({(row["encoder"], row["predictor"], row["joiner"]) for row in rows}) == 8
    assert rows[0]["wer"] == wer["onnxruntime/fp32"] and rows[-1]["wer"] == wer["onnxruntime/int8"]


def test_the_page_is_whole_and_needs_no_network(report: Path, document: dict[str, Any]) -> None:
    found = read_page((report / "report.html").read_text(encoding="utf-8"))
    assert found.addresses == [] and len(found.plots) == 6 and all(found.plots)
    assert [row[0] for row in found.tables[0][1:]] == [variant["name"] for variant in document["variants"]]
    assert "emf-report " in found.text and f"--audio {report}" not in found.text
    assert f"--out {report}" in found.text, "the command stands at the end"


def test_markdown_tells_the_same(report: Path, document: dict[str, Any]) -> None:
    text = (report / "report.md").read_text(encoding="utf-8")
    for variant in document["variants"]:
        assert f"| {variant['name']} | {100 * variant['wer']:.2f} |" in text
    assert document["recommendation"]["reason"] in text


def test_recommendations() -> None:
    floats = [variant_row("onnxruntime/fp32", 4.0), variant_row("openvino/fp32", 5.0)]
    fast, lossy = variant_row("openvino/int8", 2.0, 0.001), variant_row("onnxruntime/int8", 1.0, 0.02)
    slow = variant_row("openvino/int8", 4.5)
    assert recommend([*floats, fast, lossy], 0.003).variant == "openvino/int8"
    assert recommend([*floats, lossy], 0.003).variant == "onnxruntime/fp32"
    stay = recommend([*floats, slow], 0.003)
    assert stay.variant == "onnxruntime/fp32" and stay.reason.startswith("stay with fp32 here")
    assert recommend(floats, 0.003).variant == "onnxruntime/fp32"


@pytest.mark.parametrize(
    ("flags", "words"),
    [("--variants openvino/int3", "found 'openvino/int3'"), ("--out /proc/report", "pass another --out")],
)
def test_bad_input_is_told_in_one_line(
    quantized: Path, speech: Path, capsys: pytest.CaptureFixture[str], flags: str, words: str
) -> None:
    assert main([str(quantized), "--audio", str(speech), *flags.split()]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("emf-report: ") and words in line
