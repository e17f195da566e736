"""Beam search against torchaudio's `RNNTBeamSearch`, chunk by chunk, on the same model in PyTorch.

In float64: in float32 scores are now and then equal to the last place, and how a processor's matrix product rounds
would decide what the two searches keep. How the engines' float32 searches compare is for `emf.export.parity.verify`.
"""

from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
import torch

from emf.export.torchaudio_loader import load_torchaudio
from emf.runtime.search.agreement import commit, common_prefix_length
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import advance
from tests.oracle import CONFIGS, TorchModel, encode, random_rnnt, source
from tests.signals import speech_like
from tests.tolerances import SCORE_FLOAT64

SECONDS = 3.0


def search(model: TorchModel, encodings: list[torch.Tensor], options: SearchOptions) -> list[SearchState]:
    """The state after every chunk."""
    states = [model.start()]
    for encoding in encodings:
        states += advance(encoding.numpy()[None], [states[-1]], model, options)
    return states[1:]


def oracle(model: TorchModel, encodings: list[torch.Tensor], width: int, **settings: Any) -> list[list[Any]]:
    """torchaudio's hypotheses after every chunk: (tokens with the initial blank, _, _, score)."""
    decoder = load_torchaudio().models.RNNTBeamSearch(model.rnnt, model.blank_id, **settings)
    found: list[list[Any]] = []
    torch.set_default_dtype(torch.float64)  # of torchaudio's scores
    try:
        for encoding in encodings:
            found.append(decoder._search(encoding[None], found[-1] if found else None, width))
    finally:
        torch.set_default_dtype(torch.float32)
    return found


def assert_equal(states: list[SearchState], expected: list[list[Any]]) -> None:
    assert len(states) == len(expected)
    for ours, theirs in zip(states, expected, strict=True):
        assert [list(h.tokens) for h in ours.hypotheses] == [h[0][1:] for h in theirs]
        assert [h.score for h in ours.hypotheses] == pytest.approx([h[3] for h in theirs], rel=0, abs=SCORE_FLOAT64)


def model_and_encodings(name: str, seed: int = 0) -> tuple[TorchModel, list[torch.Tensor]]:
    model = source(name)
    encodings = encode(model.rnnt, speech_like(SECONDS, seed), model.frontend, model.geometry)
    doubles = [encoding.double() for encoding in encodings]
    return TorchModel(deepcopy(model.rnnt).double(), model.geometry.num_symbols - 1), doubles


# Beam 20 is wider than the joiner graph's top 16; the smallest vocabulary has five symbols beside the blank.
@pytest.mark.parametrize("width", [1, 4, 10, 20])
@pytest.mark.parametrize("name", [n for n in CONFIGS if n != "left-below-segment"])
def test_equals_torchaudio(name: str, width: int) -> None:
    model, encodings = model_and_encodings(name)
    states = search(model, encodings, SearchOptions(beam_width=width))
    assert_equal(states, oracle(model, encodings, width))
    assert len(states[-1].hypotheses) == width
    assert states[-1].hypotheses[0].tokens, "a model that says nothing tests nothing"


@pytest.mark.parametrize("width", [1, 4, 5])
def test_equals_torchaudio_on_a_tiny_vocabulary(width: int) -> None:
    model, encodings = model_and_encodings("left-below-segment")
    assert_equal(search(model, encodings, SearchOptions(beam_width=width)), oracle(model, encodings, width))


@pytest.mark.parametrize("temperature", [0.5, 1.7])
def test_temperature_equals_torchaudios(temperature: float) -> None:
    model, encodings = model_and_encodings("odd-lengths")
    states = search(model, encodings, SearchOptions(beam_width=4, temperature=temperature))
    assert_equal(states, oracle(model, encodings, 4, temperature=temperature))


@pytest.mark.parametrize("limit", [1, 2])
def test_bound_on_tokens_a_frame_equals_torchaudios(limit: int) -> None:
    model, encodings = model_and_encodings("no-state")
    states = search(model, encodings, SearchOptions(beam_width=4, step_max_tokens=limit))
    assert_equal(states, oracle(model, encodings, 4, step_max_tokens=limit))
    assert states[-1] != search(model, encodings, SearchOptions(beam_width=4))[-1], "the bound must have mattered"


@pytest.mark.parametrize("name", ["like-base", "odd-lengths"])
def test_committing_what_all_share_changes_nothing(name: str) -> None:
    model, encodings = model_and_encodings(name, seed=2)
    options, state = SearchOptions(beam_width=4), model.start()
    committed: list[int] = []
    for encoding, expected in zip(encodings, search(model, encodings, options), strict=True):
        (state,) = advance(encoding.numpy()[None], [state], model, options)
        count = common_prefix_length(state.hypotheses)
        committed += state.hypotheses[0].tokens[:count]
        state = commit(state, count)
        assert [(*committed, *h.tokens) for h in state.hypotheses] == [h.tokens for h in expected.hypotheses]
        assert [h.score for h in state.hypotheses] == pytest.approx(
            [h.score for h in expected.hypotheses], rel=0, abs=SCORE_FLOAT64
        )
    assert committed, "the hypotheses must agree on something"


def test_each_token_has_a_time_and_a_log_probability() -> None:
    model, encodings = model_and_encodings("memory-tanh")
    for state in search(model, encodings, SearchOptions(beam_width=10)):
        for hypothesis in state.hypotheses:
            emissions = hypothesis.emissions
            assert all(a <= b for a, b in pairwise(emissions.frames))
            assert all(0 <= frame < state.num_frames for frame in emissions.frames)
            assert all(p <= 0.0 for p in emissions.log_probs)


def test_silent_model_says_nothing() -> None:
    rnnt = random_rnnt(seed=7, **CONFIGS["like-base"])
    bias = rnnt.joiner.linear.bias[-1].clone()
    model = TorchModel(rnnt, CONFIGS["like-base"]["num_symbols"] - 1)
    try:
        rnnt.joiner.linear.bias[-1] = 1e3
        states = search(model, [torch.randn(4, 24)] * 3, SearchOptions(beam_width=4))
    finally:
        rnnt.joiner.linear.bias[-1] = bias
    assert states[-1].hypotheses[0].tokens == ()
