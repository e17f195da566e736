"""The warning that INT8 may be less exact on this processor."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference import saturation

INT8, SEVEN_BITS = {"precision": "int8"}, {"precision": "int8", "seven_bit_weights": True}
OLD, NEW = frozenset(("avx2", "avx512f")), frozenset(("avx2", "avx512f", "avx512_vnni"))


def provenance(**graphs: Mapping[str, object]) -> dict[str, object]:
    return {"variants": {"openvino/int8": {"recipe": graphs}}}


@pytest.mark.parametrize(
    ("sets", "backend", "known", "warns"),
    [
        (OLD, "openvino", provenance(encoder=INT8, joiner={"precision": "fp32"}), True),
        (OLD, "openvino", provenance(encoder=SEVEN_BITS, joiner={"precision": "fp32"}), False),
        (OLD, "openvino", provenance(encoder={"precision": "int8-weight"}), False),
        (OLD, "onnxruntime", {"variants": {"onnxruntime/int8": {"recipe": {"encoder": INT8}}}}, True),
        (OLD, "onnxruntime", provenance(encoder=INT8), False),
        (NEW, "openvino", provenance(encoder=INT8), False),
        (frozenset(), "openvino", provenance(encoder=INT8), False),
        (OLD, "openvino", {}, False),
        (OLD, "openvino", {"variants": {"openvino/int8": [INT8]}}, False),
        (OLD, "openvino", {"variants": {"openvino/int8": {"recipe": {"encoder": "int8"}}}}, False),
    ],
)
def test_warns_of_full_range_weights_without_vnni(
    sets: frozenset[str],
    backend: str,
    known: Mapping[str, object],
    warns: bool,
    tiny_artifact: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(saturation, "instruction_sets", lambda: sets)
    with caplog.at_level(logging.WARNING):
        saturation.warn_of_saturation(replace(read_manifest(tiny_artifact), provenance=known), Variant(backend, "int8"))
    assert ("--seven-bit-weights" in caplog.text) is warns
