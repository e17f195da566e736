"""Several artifacts on one page: each row against the first artifact's fp32, one recommendation over all rows."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emf.quantize.commands.report import main
from emf.quantize.evaluation import evaluate_here
from emf.quantize.report import measure
from emf.quantize.report.diagnostics import examine_here
from emf.quantize.report.page import report_page
from emf.quantize.report.recommend import recommend
from emf.quantize.report.report import ArtifactRecord, Compared
from emf.quantize.report.rows import Origin, VariantRow
from emf.runtime.artifact.manifest_file import read_manifest, write_manifest
from emf.runtime.artifact.variant import FLOAT
from emf.runtime.pages.html import to_html
from emf.runtime.pages.markdown import to_markdown
from tests.quantize.report.example_rows import report_of, variant_row
from tests.quantize.report.test_artifacts import CONVERSION
from tests.runtime.pages.reading import read_page

PLAIN = Origin("plain", "as it was trained", 2**17, 0.16)
SMALL = Origin("small", "with 16 neurons a layer and an int8 cache", 2**15, 0.16)
RECORDS = ArtifactRecord("plain", {}), ArtifactRecord("small", {"conversion": CONVERSION})


def row(origin: Origin, name: str, p50: float = 4.0, delta: float = 0.0) -> VariantRow:
    return replace(variant_row(name, p50, delta), name=f"{origin.artifact} {name}", origin=origin)


FLOATS = [row(PLAIN, "onnxruntime/fp32", 5.0), row(PLAIN, "openvino/fp32", 4.0)]
SMALL_FLOAT = row(SMALL, "openvino/fp32", 3.0, 0.002)


@pytest.fixture(scope="module")
def document(quantized: Path, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A report on the tiny artifact beside one whose fp32 graphs are the tiny one's in INT8: "converted" to these."""
    folder = tmp_path_factory.mktemp("compare")
    small = shutil.copytree(quantized, folder / "small")
    manifest = read_manifest(small)
    kept = [graph for graph in manifest.graphs if (graph.backend, graph.precision) == ("onnxruntime", "int8")]
    graphs = (*(replace(graph, precision=FLOAT) for graph in kept), *kept)
    write_manifest(
        replace(manifest, graphs=graphs, provenance={**manifest.provenance, "conversion": CONVERSION}), small
    )
    flags = ["--variants", "onnxruntime/int8", "--beam-width", "2", "--num-threads", "1", "--drift-seconds", "1"]
    paths = [str(quantized), "--audio", str(speech), "--compare", str(small), "--out", str(folder / "report")]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(measure, "evaluate", evaluate_here)
        patched.setattr(measure, "examine", examine_here)
        assert main([*paths, *flags]) == 0
    found: dict[str, Any] = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    return found


def test_every_row_is_against_the_first_artifacts_fp32(document: dict[str, Any]) -> None:
    plain, quantized, small, small_quantized = document["variants"]
    names = [
        "artifact onnxruntime/fp32",
        "artifact onnxruntime/int8",
        "small onnxruntime/fp32",
        "small onnxruntime/int8",
    ]
    assert [variant["name"] for variant in document["variants"]] == names
    assert quantized["token_agreement"] < 1, "the variants differ"
    for name in ("wer", "cer", "wer_delta", "wer_delta_ci95", "token_agreement", "bytes", "size_ratio"):
        assert quantized[name] == small[name] == small_quantized[name]
    assert small["wer_delta"] == pytest.approx(small["wer"] - plain["wer"])
    assert small["size_ratio"] == pytest.approx(small["bytes"] / plain["bytes"])
    assert (plain["wer_delta"], plain["size_ratio"]) == (0.0, 1.0)
    assert quantized["drift_db"] != small_quantized["drift_db"] == [150.0], "drift is against the artifact's own fp32"
    assert (
        plain["artifact"] == "artifact" and small["artifact"] == "small" and small["model"].startswith("with latents")
    )
    assert [one["name"] for one in document["artifacts"]] == ["artifact", "small"]
    assert document["artifacts"][1]["provenance"]["conversion"] == CONVERSION


def test_each_artifact_has_its_own_component_matrix(document: dict[str, Any]) -> None:
    matrix = document["component_matrix"]
    assert list(matrix) == ["artifact onnxruntime", "artifact openvino", "small onnxruntime"]
    wer = {variant["name"]: variant["wer"] for variant in document["variants"]}
    assert matrix["artifact onnxruntime"][0]["wer"] == wer["artifact onnxruntime/fp32"]
    assert {row["wer"] for row in matrix["small onnxruntime"]} == {wer["small onnxruntime/int8"]}


def test_an_artifact_beside_itself_is_refused_in_one_line(
    quantized: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(quantized), "--audio", str(speech), "--compare", str(quantized)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == f"emf-report: expected artifacts to compare, found {quantized} twice; name each once"


def test_the_recommendation_is_over_all_rows_and_names_the_conversion() -> None:
    both = [*FLOATS, row(PLAIN, "openvino/int8", 2.0), SMALL_FLOAT, row(SMALL, "openvino/int8", 1.0, 0.003)]
    best = recommend(both, 0.003)
    assert best.variant == "small openvino/int8"
    assert best.reason.startswith("4.00 times as fast as plain openvino/fp32 (1.00 against 4.00 ms a chunk at p50)")
    assert best.reason.endswith(
        "with 25 % of the bytes and 25 % of what a stream keeps; small is the model with 16 neurons a layer and an "
        "int8 cache"
    )
    assert recommend([*FLOATS, SMALL_FLOAT], 0.003).variant == "small openvino/fp32", "not compared with itself"
    strict = recommend(both, 0.0025)
    assert strict.variant == "plain openvino/int8" and strict.reason.endswith("; plain is the model as it was trained")
    lost = recommend([*FLOATS, SMALL_FLOAT], 0.001)
    assert lost.variant == "plain openvino/fp32"
    assert (
        lost.reason == "stay with plain openvino/fp32 here: none of 1 other variants stays within 0.1 points of its WER"
    )


def test_shorter_chunks_are_not_faster_for_that() -> None:
    """Half the audio in two thirds of the time is slower; in two fifths it is faster."""
    short = replace(SMALL, chunk_seconds=0.08)
    assert recommend([*FLOATS, row(short, "openvino/fp32", 2.67)], 0.003).variant == "plain openvino/fp32"
    best = recommend([*FLOATS, row(short, "openvino/fp32", 1.6)], 0.003)
    assert best.reason.startswith(
        "1.25 times as fast as plain openvino/fp32 (3.20 against 4.00 ms for 160 ms of audio at"
    )


def test_the_page_names_the_artifact_everywhere() -> None:
    rows = (*FLOATS, SMALL_FLOAT, row(SMALL, "openvino/int8", 2.0, 0.002))
    report = replace(report_of(*rows), compared=Compared(RECORDS), recommendation=recommend(rows, 0.003))
    found, text = read_page(to_html(report_page(report, "emf-report"))), to_markdown(report_page(report, "emf-report"))
    assert found.headings[:3] == [
        "plain, small: which variant to deploy",
        "Variants",
        "Not the model as it was trained: small",
    ]
    assert found.tables[0][1:] == [["plain", "as it was trained"], ["small", SMALL.model]]
    header, *cells = found.tables[1]
    assert [one[0] for one in cells] == [one.name for one in rows]
    assert [one[header.index("kept KiB")] for one in cells] == ["128.0", "128.0", "32.0", "32.0"]
    names = ["plain fp32", "plain fp32", "small fp32", "small int8"]
    for plot in found.plots[:2]:
        assert [label for label in plot if label in names] == names
    assert to_html(report_page(report, "")).count("m-4 0h8M") == 2 * 2, (
        "the first artifact's fp32 has no change to show"
    )
    for sentence in (
        "WER change is in points against plain fp32 of the same backend",
        "The variants of small are of a smaller model; their WER change counts that.",
        "Each artifact is compared with its own fp32",
    ):
        assert sentence in text
    assert "kept by a stream32.0 KiBplain fp32: 128.0 KiB" in found.text
