"""torchaudio's base model, 77 million random weights, in both engines: the sizes that users really export."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from emf.export.artifact import ExportOptions, export_artifact
from emf.export.model_config import BASE_CONFIG, geometry_of
from emf.export.torchaudio_loader import load_torchaudio
from emf.export.vocabulary import numbered_pieces
from emf.runtime.inference.session import BACKENDS
from tests.oracle import source
from tests.signals import speech_like
from tests.tolerances import FEATURES, SCORE, TENSOR

SECONDS = 4.0


@pytest.mark.slow
def test_the_base_model_is_equal_in_both_engines(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rnnt = load_torchaudio().models.emformer_rnnt_base(num_symbols=4097).eval().requires_grad_(False)
    # Random weights emit almost nothing; with these, beam search emits some tokens a second.
    rnnt.joiner.linear.weight *= 3.0
    rnnt.joiner.linear.bias[-1] = 7.3
    like_base = source("like-base")
    model = replace(like_base, name="base", rnnt=rnnt, geometry=geometry_of(BASE_CONFIG), pieces=numbered_pieces(4097))
    manifest, found = export_artifact(model, tmp_path / "out", ExportOptions(BACKENDS, speech_like(SECONDS)))
    assert sum(graph.bytes for graph in manifest.graphs) > 2 * 76_000_000 * 4
    assert found.chunks == 25
    assert found.num_tokens >= SECONDS
    assert found.tokens_equal
    assert found.score_error <= SCORE
    for deviations in found.deviations.values():
        assert deviations.by_tensor.pop("features") <= FEATURES
        assert deviations.worst() <= TENSOR
