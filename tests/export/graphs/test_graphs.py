"""The graphs' modules against torchaudio's own, in PyTorch: every option, states chained; nothing is exported."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from emf.export.graphs.graphs import make_graphs
from emf.export.graphs.joiner import JOINER_TOP_K, JoinerGraph
from emf.export.graphs.predictor import PredictorGraph
from emf.export.graphs.states import EncoderStates
from emf.export.model_config import geometry_of
from tests.export.graphs.chain import Chain
from tests.oracle import CONFIGS, random_rnnt, tiny
from tests.tolerances import MODULE

STEPS = 14

# (segment, right context, stride) that torchaudio's streaming inference can run.
LENGTHS = [(16, 4, 4), (16, 0, 4), (4, 2, 1), (8, 3, 2), (7, 3, 3), (12, 8, 4), (9, 2, 2)]
# Left context: none, less than a segment, no multiple of one, several.
OPTIONS = list(product([0, 1, 3, 11], [0, 1, 3], [False, True]))
ENCODERS: dict[str, dict[str, Any]] = {
    f"{segment}+{right}/{stride}-left{left}-memory{memory}-{'tanh' if tanh else 'clamp'}-{activation}": tiny(
        segment, right, stride, left, memory, activation=activation, transformer_tanh_on_mem=tanh
    )
    for (segment, right, stride), (left, memory, tanh), activation in zip(
        LENGTHS * 4, OPTIONS + OPTIONS[:4], ["relu", "gelu", "silu"] * 10, strict=False
    )
} | CONFIGS


@pytest.mark.parametrize("config", ENCODERS.values(), ids=list(ENCODERS))
def test_encoder_step_by_step(config: dict[str, Any]) -> None:
    rnnt, geometry = random_rnnt(**config), geometry_of(config)
    graph, _, _ = make_graphs(rnnt, geometry)
    chain = Chain(graph.module, graph.states, batch=1)  # type: ignore[arg-type]
    states = EncoderStates(rnnt.transcriber, geometry)
    state, generator = None, torch.Generator().manual_seed(1)
    with torch.inference_mode():
        for step in range(STEPS):
            features = torch.randn(1, geometry.step_length, geometry.input_dim, generator=generator)
            length = torch.tensor([geometry.step_length])
            expected, _, state = rnnt.transcribe_streaming(features, length, state)
            torch.testing.assert_close(chain.step(features), expected, rtol=0, atol=MODULE, msg=f"step {step}")
            packed = states.of_torchaudio(state)
            for name, found in chain.in_time_order().items():
                np.testing.assert_allclose(found, packed[name], rtol=0, atol=MODULE, err_msg=f"{name}, step {step}")


@pytest.mark.parametrize("config", ENCODERS.values(), ids=list(ENCODERS))
def test_several_segments_in_one_pass(config: dict[str, Any]) -> None:
    """Passes of any length, in any order, give what single steps give: encodings and states."""
    rnnt, geometry = random_rnnt(**config), geometry_of(config)
    graph, _, _ = make_graphs(rnnt, geometry)
    generator = torch.Generator().manual_seed(5)
    singly, grouped = (Chain(graph.module, graph.states, batch=2) for _ in range(2))  # type: ignore[arg-type]
    with torch.inference_mode():
        for segments in (3, 1, 2, 8, 1, 5):
            features = torch.randn(2, segments, geometry.step_length, geometry.input_dim, generator=generator)
            expected = torch.cat([singly.step(window) for window in features.unbind(1)], dim=1)
            torch.testing.assert_close(grouped.step(features.flatten(1, 2)), expected, rtol=0, atol=MODULE)
            for name, found in singly.in_time_order().items():
                np.testing.assert_allclose(found, grouped.in_time_order()[name], rtol=0, atol=MODULE, err_msg=name)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "no-state"])
def test_streams_at_different_points_in_a_batch(name: str) -> None:
    """The caches of a batch are filled to different degrees; each row computes what it does alone."""
    rnnt, geometry = random_rnnt(**CONFIGS[name]), geometry_of(CONFIGS[name])
    graph, _, _ = make_graphs(rnnt, geometry)
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(5, 3, geometry.step_length, geometry.input_dim, generator=generator)
    chains = [Chain(graph.module, graph.states, batch=1) for _ in range(3)]  # type: ignore[arg-type]
    with torch.inference_mode():
        for row, chain in enumerate(chains):
            for step in range(2 * row):
                chain.step(features[step, row : row + 1])
        states = [torch.cat([chain.states[i] for chain in chains]) for i in range(len(graph.states))]
        together = graph.module(features[4], *states, torch.tensor([1, 3, 5]))[0]  # of two rows each, the second
        alone = torch.cat([chain.step(features[4, row : row + 1]) for row, chain in enumerate(chains)])
    torch.testing.assert_close(together, alone, rtol=0, atol=MODULE)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_predictor_token_by_token(layers: int, layer_norm: bool) -> None:
    config = tiny(16, 4, 4, left=4, num_lstm_layers=layers, lstm_layer_norm=layer_norm)
    rnnt = random_rnnt(**config)
    graph, state = PredictorGraph(rnnt.predictor).eval(), None
    lstm_state = torch.zeros_like(graph.example_inputs(batch=2)["lstm_state"])
    tokens = torch.randint(0, 33, (20, 2), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        for pair in tokens:
            prediction, lstm_state = graph(pair, lstm_state)
            expected, _, state = rnnt.predict(pair[:, None], torch.tensor([1, 1]), state)
            torch.testing.assert_close(prediction, expected[:, 0], rtol=0, atol=MODULE)
            stacked = torch.stack([torch.stack(layer, dim=1) for layer in state], dim=1)
            torch.testing.assert_close(lstm_state, stacked, rtol=0, atol=MODULE)


@pytest.mark.parametrize("num_symbols", [2, 6, 17, 18, 300])
@pytest.mark.parametrize("temperature", [1.0, 0.4, 3.0])
def test_joiner(num_symbols: int, temperature: float) -> None:
    config = tiny(16, 4, 4, left=4, num_symbols=num_symbols)
    rnnt = random_rnnt(**config)
    generator = torch.Generator().manual_seed(4)
    encoding, prediction = torch.randn(5, 24, generator=generator), torch.randn(5, 24, generator=generator)
    graph, ones = JoinerGraph(rnnt.joiner, num_symbols), torch.ones(5, dtype=torch.int32)
    with torch.inference_mode():
        blank, top, top_ids, logits, normalizer = graph(encoding, prediction, torch.full((5,), temperature))
        joined, _, _ = rnnt.join(encoding[:, None], ones, prediction[:, None], ones)
    expected = torch.log_softmax(joined[:, 0, 0] / temperature, dim=1)
    torch.testing.assert_close(logits / temperature - normalizer[:, None], expected[:, :-1], rtol=0, atol=MODULE)
    torch.testing.assert_close(blank, expected[:, -1], rtol=0, atol=MODULE)
    assert top.shape == (5, min(JOINER_TOP_K, num_symbols - 1))
    torch.testing.assert_close(top, expected[:, :-1].sort(dim=1, descending=True).values[:, : top.shape[1]])
    torch.testing.assert_close(top, expected.gather(1, top_ids), rtol=0, atol=MODULE)


@pytest.mark.parametrize("name", CONFIGS)
def test_specs_describe_the_tensors(name: str) -> None:
    geometry = geometry_of(CONFIGS[name])
    for graph in make_graphs(random_rnnt(**CONFIGS[name]), geometry):
        inputs, outputs = ({spec.name: spec for spec in specs} for specs in graph.specs(graph.inputs))
        for spec in (*inputs.values(), *outputs.values()):
            assert spec.shape[0] is None
            assert all(size is not None for size in spec.shape[1:])
        for state in graph.states:
            assert state.output == f"new_{state.input}"
            assert inputs[state.input].dtype == outputs[state.output].dtype
        assert len(graph.states) <= 3, "few packed tensors"


def test_the_encoder_keeps_only_the_states_that_the_model_has() -> None:
    names = {}
    for name, config in CONFIGS.items():
        (encoder, _, _) = make_graphs(random_rnnt(**config), geometry_of(config))
        names[name] = [state.input for state in encoder.states]
    assert names["no-state"] == []
    assert names["like-base"] == ["past_length", "attention_cache"]
    assert names["memory-clamped"] == ["past_length", "memory"]
    assert names["memory-tanh"] == ["past_length", "attention_cache", "memory"]
