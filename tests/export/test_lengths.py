"""Other lengths than a model was trained with: what torchaudio computes with them, or one line that says why not."""

import pytest
import torch

from emf.export.checkpoint import build_rnnt
from emf.export.lengths import Lengths
from emf.export.model_config import geometry_of
from emf.runtime.errors import UsageError
from tests.oracle import CONFIGS, random_rnnt


def test_the_weights_are_the_same_and_the_rest_as_torchaudio_makes_it() -> None:
    config = Lengths(8, 8, 10).applied_to(CONFIGS["like-base"])
    geometry = geometry_of(config)
    assert Lengths.of(geometry) == Lengths(8, 8, 10) and geometry.frames_per_step == 2
    weights = random_rnnt(**CONFIGS["like-base"]).state_dict()
    rnnt = build_rnnt(config, weights, "here")
    for key, value in rnnt.state_dict().items():
        assert torch.equal(value, weights[key])
    assert rnnt.transcriber.transformer.segment_length == 2


def test_what_is_not_named_stays() -> None:
    assert Lengths().applied_to(CONFIGS["odd-lengths"]) == CONFIGS["odd-lengths"]
    own = Lengths.of(geometry_of(CONFIGS["odd-lengths"]))
    assert own.applied_to(CONFIGS["odd-lengths"]) == CONFIGS["odd-lengths"], "odd ones are refused only if chosen"


def test_a_memory_vector_stands_for_a_segment_of_the_trained_length() -> None:
    with pytest.raises(UsageError, match="expected a --segment-length of 8, as the model was trained with"):
        Lengths(16).applied_to(CONFIGS["memory-tanh"])
    chosen = Lengths(8, 8, 12).applied_to(CONFIGS["memory-tanh"])
    assert Lengths.of(geometry_of(chosen)) == Lengths(8, 8, 12)
