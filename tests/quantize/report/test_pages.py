"""The pages of a report that was not measured: what stands first and last, and what seldom happens."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emf.quantize.report.page import report_page
from emf.quantize.report.report import Report
from emf.quantize.report.rows import BaselineRow, FailedBaseline, MatrixRow, Precision
from emf.runtime.errors import ArtifactError
from emf.runtime.pages.html import to_html
from emf.runtime.pages.markdown import to_markdown
from tests.quantize.report.example_rows import EDITS, figures, report_of, variant_row
from tests.runtime.pages.reading import Found, read_page
from tests.serve.captions.browser import EXECUTABLE, Page, browsing

FLOAT, INT8 = variant_row("openvino/fp32"), variant_row("openvino/int8", 2.0, 0.001)
INT4 = variant_row("openvino/int4", 11.0, -0.02)
COMMAND = "emf-report 'a & b' --audio c.tsv"
MATRIX = {"openvino": (MatrixRow("int8", "fp32", "fp32", 0.125, EDITS),)}
BASELINES = BaselineRow("torchaudio", 0.1, 0.05, EDITS, figures(8.0), 2**28), FailedBaseline("other", "a | b")
WHOLE = replace(report_of(FLOAT, INT8, INT4), component_matrix=MATRIX, baselines=BASELINES)


def read(report: Report) -> Found:
    return read_page(to_html(report_page(report, COMMAND)))


def markdown(report: Report) -> str:
    return to_markdown(report_page(report, COMMAND))


def test_the_recommendation_is_first_and_the_command_last() -> None:
    found = read(WHOLE)
    assert found.headings == [
        "example: which variant to deploy",
        "Variants",
        "Trade-off",
        "PyTorch on the same audio",
        "Latency",
        "Which component costs words",
        "Encoder against fp32",
        "Memory traffic of a chunk",
        "The encoder's operators",
        "Machine and command",
    ]
    begin = found.text.index("openvino/fp32a < bWER10.00 %")
    assert begin < found.text.index("Variants\n") < found.text.index("Machine and command")
    assert found.text.rstrip().endswith(COMMAND)
    assert markdown(WHOLE).rstrip().endswith(f"```\n{COMMAND}\n```") and "**openvino/fp32**: a < b" in markdown(WHOLE)


def test_the_table_holds_the_reports_values() -> None:
    header, *rows = read(WHOLE).tables[0]
    assert "streams" not in header
    for cells, row in zip(rows, WHOLE.variants, strict=True):
        shown = dict(zip(header, cells, strict=True))
        assert shown["variant"] == row.name
        assert float(shown["WER %"]) == pytest.approx(100 * row.wer)
        assert float(shown["chunk p50 ms"]) == row.figures.chunk_ms.p50
        assert float(shown["p99 ms"]) == row.figures.chunk_ms.p99
        assert float(shown["MiB"]) * 2**20 == row.bytes
        change, low, _, high = shown["change (95 %)"].replace("(", "").replace(")", "").split()
        expected = (row.wer_delta, *row.wer_delta_ci95)
        assert [float(value) for value in (change, low, high)] == pytest.approx([100 * v for v in expected], abs=0.005)


def test_points_have_names_and_intervals() -> None:
    time, size, *_ = read(WHOLE).plots
    assert [text for text in time if text in ("fp32", "int8", "int4")] == ["fp32", "int8", "int4"]
    assert "size of the graphs, MiB" in size and "openvino" in size
    assert to_html(report_page(WHOLE, COMMAND)).count("m-4 0h8M") == 2 * 2, "fp32 has no change to show"
    streams = replace(INT8, diagnostics=replace(INT8.diagnostics, streams_realtime=17))
    found = read(report_of(FLOAT, streams))
    assert "real-time streams" in found.plots[2] and [row[-1] for row in found.tables[0]][1:] == ["not measured", "17"]


def test_a_variant_at_its_worst() -> None:
    odd = replace(
        INT8,
        precision=Precision({}, {"encoder": "f32", "predictor": "f32", "joiner": "bf16"}, ("joiner",)),
        diagnostics=replace(INT8.diagnostics, operators=(), drift_db=(30.0,)),
        bandwidth=replace(INT8.bandwidth, fits_in=None),
    )
    text = markdown(report_of(FLOAT, odd, INT4))
    assert "| f32 |" in text and "| f32/bf16, not as asked |" in text
    assert "| L2 |" in text and "| no cache |" in text
    assert "instruction sets unknown; caches unknown; reads 16.0 GiB/s" in text
    assert "| openvino/int8 | 30.0 |  |" in text and "| openvino/int4 | 30.0 | 29.0 |" in text


def test_products_in_float32_are_told() -> None:
    sentence = "41 of 82 matrix products of the encoder run in float32 (gemm_mlas), 59 % of a step"
    slow = replace(INT8, diagnostics=replace(INT8.diagnostics, float32_products=sentence))
    report = report_of(FLOAT, slow)
    assert f"{sentence}." in read(report).text
    assert f"### openvino/int8\n\n{sentence}.\n" in markdown(report)
    assert "float32 (" not in read(report_of(FLOAT, INT8)).text


def test_a_baseline_that_fails_stands_beside_one_that_runs() -> None:
    text = markdown(WHOLE)
    assert "| torchaudio | 10.00 | 8.00 / 16.00 / 24.00 | 8.00 | 0.0500 | 256 |" in text
    assert "| other | did not run: a \\| b |" in text
    assert "PyTorch" not in markdown(report_of(FLOAT))


def test_only_what_was_measured_has_a_section() -> None:
    headings = read(report_of(FLOAT)).headings
    assert "Encoder against fp32" not in headings and "Which component costs words" not in headings
    assert "| int8 | fp32 | fp32 | 12.50 | 3 / 2 / 1 |" in markdown(WHOLE)


def test_a_smaller_model_is_told_as_such() -> None:
    words = {"words": 60, "words_changed": 3, "tokens_changed": 4, "wer": 0.1, "wer_converted": 0.125}
    untranscribed = {"words": 60, "words_changed": 2, "tokens_changed": 2, "wer": None, "wer_converted": None}
    drift = {"utterances": 9, "held_out": "speakers", "encoder_snr_db": 23.46}
    drift |= {"searches": {"greedy": untranscribed, "beam": words}}
    conversion = {"ranks": [40, 48], "neurons": [512, 512], "symbols": [], "seconds": 90.0, "against_original": drift}
    small = replace(WHOLE, provenance={"model": "none", "conversion": conversion})
    assert read(small).headings[2] == "Not the model as it was trained"
    text = markdown(small)
    assert "| ranks of the latents instead of keys and values | 40, 48 |" in text
    assert "| neurons of the feed-forward networks | 512 each |" in text and "| symbols |" not in text
    assert (
        "on 1.5 minutes of speech; compared with the original on 9 utterances, held-out speakers; encodings 23.5 dB"
        in text
    )
    assert "| beam | 3 | 60 | 10.00 | 12.50 |" in text and "| greedy | 2 | 60 |  |  |" in text
    assert "Not the model as it was trained" not in markdown(WHOLE)
    for damage in ({"ranks": "40"}, {"seconds": None}, {"against_original": drift | {"held_out": "yes"}}):
        with pytest.raises(ArtifactError, match=r"manifest\.json: provenance: conversion.*export the model again"):
            markdown(replace(WHOLE, provenance={"conversion": conversion | damage}))


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(to_html(report_page(WHOLE, COMMAND)), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, browsing(Path(folder)) as page:
        page.open(path.as_uri())
        yield page
        assert page.complaints() == []
        assert page.addresses() <= {path.as_uri(), "data:,"}


@pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium")
def test_in_a_browser(tab: Page, tmp_path: Path) -> None:
    column = "[...document.querySelectorAll('table')[0].tBodies[0].rows].map((row) => row.cells[%d].textContent)"
    for index, increasing in ((3, ["2.00", "4.00", "11.00"]), (1, ["8.00", "10.00", "10.10"])):
        for expected in (increasing, increasing[::-1]):
            tab.value(f"document.querySelectorAll('table th button')[{index}].click()")
            assert tab.value(column % index) == expected
    for width, dark in ((390, True), (1280, False)):
        tab.screenshot(tmp_path / "picture.png", width, 844, dark)
        assert tab.value("document.documentElement.scrollWidth <= innerWidth")
        assert tab.value(
            "document.querySelector('.scroll').scrollWidth <= document.querySelector('.scroll').clientWidth"
        )
        assert tab.value("getComputedStyle(document.body).backgroundColor") == (
            "rgb(20, 21, 23)" if dark else "rgb(251, 251, 250)"
        )
    visible = "[...document.querySelectorAll('details table')].every((one) => one.checkVisibility())"
    assert not tab.value(visible)
    tab.command("Emulation.setEmulatedMedia", media="print")
    assert tab.value(visible) and tab.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
