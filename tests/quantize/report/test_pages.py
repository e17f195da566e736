"""The pages of a report that was not measured: what seldom happens is shown."""

from dataclasses import replace

from emf.quantize.report.html import to_html
from emf.quantize.report.markdown import to_markdown
from emf.quantize.report.rows import BaselineRow, FailedBaseline, MatrixRow, Precision
from tests.quantize.report.example_rows import EDITS, figures, report_of, variant_row

FLOAT, INT8 = variant_row("openvino/fp32"), variant_row("openvino/int8", 2.0, 0.001)


def test_a_variant_at_its_worst() -> None:
    odd = replace(
        INT8,
        precision=Precision({}, {"encoder": "f32", "predictor": "f32", "joiner": "bf16"}, ("joiner",)),
        diagnostics=replace(INT8.diagnostics, operators=(), streams_realtime=17),
        bandwidth=replace(INT8.bandwidth, fits_in=None),
    )
    text = to_markdown(report_of(FLOAT, odd))
    assert "| not measured | f32 |" in text and "| 17 | f32/bf16, not as asked |" in text
    assert "| L2 |" in text and "| no cache |" in text
    assert "instruction sets unknown; caches unknown; reads 16.0 GiB/s" in text
    assert "- openvino/int8: 30.0, 29.0" in text and "- openvino/fp32:" not in text


def test_products_in_float32_are_told() -> None:
    sentence = "41 of 82 matrix products of the encoder run in float32 (gemm_mlas), 59 % of a step"
    slow = replace(INT8, diagnostics=replace(INT8.diagnostics, float32_products=sentence))
    report = report_of(FLOAT, slow)
    assert f"<h3>openvino/int8</h3>\n<p>{sentence}.</p>" in to_html(report)
    assert f"## Products in float32\n\n- openvino/int8: {sentence}\n" in to_markdown(report)
    assert "float32 (" not in to_html(report_of(FLOAT, INT8)) + to_markdown(report_of(FLOAT, INT8))


def test_a_baseline_that_fails_stands_beside_one_that_runs() -> None:
    rows = BaselineRow("torchaudio", 0.1, 0.05, EDITS, figures(8.0), 2**28), FailedBaseline("other", "a | b")
    text = to_markdown(replace(report_of(FLOAT), baselines=rows))
    assert "| torchaudio | 10.00 | 8.00 / 16.00 / 24.00 | 8.00 | 0.0500 | 256 |" in text
    assert "| other | did not run: a \\| b |" in text
    assert "PyTorch" not in to_markdown(report_of(FLOAT))


def test_component_matrix() -> None:
    row = MatrixRow("int8", "fp32", "fp32", 0.125, EDITS)
    text = to_markdown(replace(report_of(FLOAT), component_matrix={"openvino": (row,)}))
    assert "Which component costs words: openvino" in text and "| int8 | fp32 | fp32 | 12.50 | 3 / 2 / 1 |" in text


def test_the_html_page_is_escaped() -> None:
    page = to_html(report_of(FLOAT, INT8))
    assert "a &lt; b" in page and "a < b" not in page
    assert page.count("<svg") == 5 and to_html(report_of(FLOAT)).count("<svg") == 4
