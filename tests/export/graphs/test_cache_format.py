"""What a stream keeps in int8: the scales never clip, and passes, batches and steps agree as in float32."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emf.export.graphs.cache_format import CacheFormat, layer_norm_bound
from emf.export.graphs.encoder import EncoderGraph
from emf.export.graphs.graphs import make_graphs
from emf.export.graphs.states import EncoderStates
from emf.export.model_config import geometry_of
from emf.export.parity.rounded_model import RoundedModel
from tests.export.graphs.chain import Chain
from tests.oracle import CONFIGS, random_rnnt
from tests.tolerances import MODULE

STEPS = 12


def norm_and_projection(seed: int, dim: int, rows: int) -> tuple[torch.nn.LayerNorm, torch.nn.Linear]:
    generator = torch.Generator().manual_seed(seed)
    norm, linear = torch.nn.LayerNorm(dim), torch.nn.Linear(dim, rows)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, linear.weight, linear.bias):
            tensor.normal_(generator=generator)
    return norm.requires_grad_(False), linear.requires_grad_(False)


@given(seed=st.integers(0, 2**31), dim=st.integers(2, 40), size=st.floats(1e-3, 1e4), at=st.floats(-1e4, 1e4))
def test_no_input_leaves_the_bound(seed: int, dim: int, size: float, at: float) -> None:
    norm, linear = norm_and_projection(seed, dim, 7)
    bound = layer_norm_bound(norm, linear.weight, linear.bias)
    inputs = torch.randn(50, dim, generator=torch.Generator().manual_seed(seed)) * size + at
    units = CacheFormat("int8", bound).units(linear(norm(inputs)))
    assert units.abs().max() < 127.5, "rounds to 127 at most"


@given(seed=st.integers(0, 2**31), dim=st.integers(2, 40))
def test_the_worst_inputs_reach_the_bound(seed: int, dim: int) -> None:
    """Along a row of weights, times the gain, about its mean, a normalised input is as far as it can get."""
    norm, linear = norm_and_projection(seed, dim, 7)
    gained = linear.weight * norm.weight
    directions = gained - gained.mean(dim=1, keepdim=True)
    offset = linear.weight @ norm.bias + linear.bias
    inputs = 100.0 * directions / directions.norm(dim=1, keepdim=True) * torch.sign(offset)[:, None]
    bound = layer_norm_bound(norm, linear.weight, linear.bias)
    units = CacheFormat("int8", bound).units(linear(norm(inputs))).diagonal().abs()
    np.testing.assert_allclose(units, 127.0, rtol=1e-3)
    assert units.round().max() == 127.0


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1))
def test_what_is_kept_is_the_nearest(numbers: list[float]) -> None:
    values = torch.tensor(numbers)
    cache = CacheFormat("int8", torch.full((len(numbers),), 1e4))
    kept = cache.kept(cache.units(values))
    assert kept.dtype == torch.int8
    assert ((cache.values(kept.float()) - values).abs() <= cache.scale / 2 * (1 + 1e-4)).all()


def test_a_channel_that_is_always_zero() -> None:
    cache = CacheFormat("int8", torch.zeros(3))
    assert cache.values(cache.kept(cache.units(torch.zeros(2, 3))).float()).eq(0).all()


def chain(name: str, batch: int) -> Chain:
    geometry = geometry_of(CONFIGS[name])
    graph, _, _ = make_graphs(random_rnnt(**CONFIGS[name]), geometry, "int8")
    assert isinstance(graph.module, EncoderGraph)
    return Chain(copy.deepcopy(graph.module).double(), graph.states, batch)


@pytest.mark.parametrize("name", ["like-base", "memory-tanh", "odd-lengths"])
def test_step_by_step_against_torchaudio_with_rounded_keys(name: str) -> None:
    """In float64, where no two computations differ enough to round to different sides."""
    rnnt, geometry = random_rnnt(**CONFIGS[name]), geometry_of(CONFIGS[name])
    model = copy.deepcopy(RoundedModel(rnnt, "int8", geometry.frames_per_step).rnnt).double()
    steps, states = chain(name, 1), EncoderStates(rnnt.transcriber, geometry, "int8")
    state: Any = None
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        for step in range(STEPS):
            shape = (1, geometry.step_length, geometry.input_dim)
            features = torch.randn(shape, generator=generator, dtype=torch.float64)
            expected, _, state = model.transcribe_streaming(features, torch.tensor([shape[1]]), state)
            torch.testing.assert_close(steps.step(features), expected, rtol=0, atol=MODULE, msg=f"step {step}")
    packed = states.of_torchaudio(state)
    for key, found in steps.in_time_order().items():
        np.testing.assert_allclose(states.values(key, found), packed[key], rtol=0, atol=MODULE, err_msg=key)


@pytest.mark.parametrize("name", ["like-base", "memory-tanh", "odd-lengths"])
def test_passes_of_a_batch_keep_what_steps_keep(name: str) -> None:
    geometry = geometry_of(CONFIGS[name])
    singly, grouped = (chain(name, 2) for _ in range(2))
    generator = torch.Generator().manual_seed(5)
    with torch.inference_mode():
        for segments in (3, 1, 8, 1, 5):
            shape = (2, segments, geometry.step_length, geometry.input_dim)
            features = torch.randn(shape, generator=generator, dtype=torch.float64)
            expected = torch.cat([singly.step(window) for window in features.unbind(1)], dim=1)
            torch.testing.assert_close(grouped.step(features.flatten(1, 2)), expected, rtol=0, atol=MODULE)
            kept = grouped.in_time_order()["attention_cache"]
            np.testing.assert_array_equal(singly.in_time_order()["attention_cache"], kept)
    assert kept.dtype == np.int8
