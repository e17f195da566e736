"""What a stream keeps in int8: attention over units is attention over values; passes, batches and steps agree."""

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emf.export.graphs.attention import StreamingAttention
from emf.export.graphs.cache_format import CachedFrames, CacheFormat, Rows
from emf.export.graphs.encoder import EncoderGraph
from emf.export.graphs.graphs import make_graphs
from emf.export.graphs.states import EncoderStates
from emf.export.model_config import geometry_of
from emf.export.parity.rounded_model import RoundedModel
from tests.export.graphs.chain import Chain
from tests.oracle import CONFIGS, random_rnnt
from tests.tolerances import MODULE

STEPS = 12


def attention_and_rows(seed: int, heads: int, size: float) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """Attention of random weights, and its cached and new rows (n, t, d), each frame of a size of its own."""
    generator = torch.Generator().manual_seed(seed)
    dim, frames = 4 * heads, 5

    def linear(rows: int) -> torch.nn.Linear:
        made = torch.nn.Linear(dim, rows).double()
        with torch.no_grad():
            for tensor in (made.weight, made.bias):
                tensor.normal_(generator=generator)
        return made.requires_grad_(False)

    def rows() -> torch.Tensor:
        sizes = 10.0 ** torch.randint(-3, 4, (2, frames, 1), generator=generator)
        return size * sizes * torch.randn(2, frames, dim, generator=generator, dtype=torch.float64)

    attention = SimpleNamespace(
        num_heads=heads,
        tanh_on_mem=True,
        scaling=0.5,
        input_dim=dim,
        emb_to_query=linear(dim),
        emb_to_key_value=linear(2 * dim),
        out_proj=linear(dim),
    )
    return attention, rows(), rows()


@given(seed=st.integers(0, 2**31), heads=st.integers(1, 3), size=st.floats(1e-3, 1e3))
def test_attention_over_units_is_attention_over_the_nearest_values(seed: int, heads: int, size: float) -> None:
    """Against keys and values as numbers of whole units, a 127th of the largest of a frame."""
    attention, earlier, later = attention_and_rows(seed, heads, size)
    layer, cache = StreamingAttention(attention, "int8").double(), CacheFormat("int8", 2)
    _, past = layer.heads(earlier)
    query, made = layer.heads(later)
    assert past.units is not None and made.units is not None
    kept = cache.kept(past.multiples)
    assert kept.dtype == torch.int8
    cached = CachedFrames(kept.chunk(2, dim=1), past.units)
    found = layer.attend(query, cache.entries(cached, cache.kept(made.multiples[:, :, :3]), made), None)

    exact = torch.cat([attention.emb_to_key_value(rows) for rows in (earlier, later)], dim=1)
    parts = exact.view(*exact.shape[:2], 2, -1)
    units = parts.abs().amax(dim=3, keepdim=True) / 127
    values = torch.cat([(parts / units).round()[:, :-2] * units[:, :-2], parts[:, -2:]], dim=1)
    torch.testing.assert_close(torch.cat([past.units, made.units], dim=2), units[..., 0].transpose(1, 2))
    asked = attention.emb_to_query(later).unflatten(2, (heads, -1)) * attention.scaling
    keys, numbers = (part.reshape(*part.shape[:2], heads, -1) for part in values.unbind(2))
    weights = torch.einsum("nqhc,nkhc->nhqk", asked, keys).softmax(dim=3)
    context = torch.einsum("nhqk,nkhc->nqhc", weights, numbers).flatten(2)
    torch.testing.assert_close(found, attention.out_proj(context).flatten(0, 1), rtol=1e-9, atol=1e-9 * size)


def test_a_frame_of_zeros_and_rows_never_written_are_zeros() -> None:
    cache = CacheFormat("int8", 1)
    multiples, unit = cache.in_units(torch.zeros(1, 1, 2, 3))
    assert cache.kept(multiples).eq(0).all() and unit.gt(0).all() and unit.isfinite().all()
    never = CachedFrames((torch.zeros(1, 1, 4, 3, dtype=torch.int8),), torch.zeros(1, 1, 4))
    entries = cache.entries(never, cache.kept(multiples), Rows(multiples, unit.squeeze(3)))
    assert all((entries.parts[0] * units.transpose(2, 3)).eq(0).all() for units in entries.units)


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
    found = states.values(steps.in_time_order())
    assert found.keys() == packed.keys()
    for key, expected in packed.items():
        np.testing.assert_allclose(found[key], expected, rtol=0, atol=MODULE, err_msg=key)


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
            kept = grouped.in_time_order()
            np.testing.assert_array_equal(singly.in_time_order()["attention_cache"], kept["attention_cache"])
    assert kept["attention_cache"].dtype == np.int8 and kept["attention_cache_units"].min() > 0.0
