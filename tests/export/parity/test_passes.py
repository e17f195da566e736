"""The export's check covers passes over several segments: a graph that is right only for single steps is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from emf.export.artifact import ExportOptions, export_artifact
from emf.export.graphs.masks import Masks, segment_masks
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.errors import ToleranceError
from tests.oracle import source
from tests.signals import speech_like


def test_a_pass_that_sees_what_comes_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def see_everything(*arguments: Any) -> Masks:
        return Masks(*(torch.zeros_like(mask) for mask in segment_masks(*arguments)))

    monkeypatch.setattr("emf.export.graphs.encoder.segment_masks", see_everything)
    with pytest.raises(ToleranceError, match="the pass of 8 chunks that ends with chunk 7"):
        export_artifact(source("no-state"), tmp_path / "out", ExportOptions(("onnxruntime",), speech_like(3.0)))


def test_an_export_without_passes(tmp_path: Path) -> None:
    options = ExportOptions(("onnxruntime",), speech_like(1.0), segments=1)
    export_artifact(source("left-below-segment"), tmp_path / "out", options)
    assert [graph.passes for graph in read_manifest(tmp_path / "out").graphs] == [None] * 3
