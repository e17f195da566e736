"""PyTorch at its best: what is compiled computes what torchaudio does, frozen, and is compiled once."""

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._inductor import config as inductor_config

from emf.export.baseline import open_eager
from emf.export.graphs.encoder import EncoderGraph
from emf.export.inductor import CompiledEncoder, PredictorStep, open_inductor, open_inductor_int8, quantize_dynamic
from emf.runtime.errors import MissingDependency
from emf.runtime.measure.latency import Baseline, Measurements
from tests.conftest import Export
from tests.oracle import CONFIGS, source
from tests.signals import speech_like
from tests.tolerances import MODULE

NAME = "like-base"
STEPS = 14


@pytest.mark.parametrize("name", CONFIGS)
def test_its_encoder_is_torchaudios(name: str) -> None:
    """Over so many steps that rings are overwritten, and torchaudio's own state beside."""
    model = source(name)
    graph = EncoderGraph(copy.deepcopy(model.rnnt.transcriber), model.geometry).eval()
    encoder, state, theirs = CompiledEncoder(graph, graph), None, None
    torch.manual_seed(3)
    with torch.inference_mode():
        for _ in range(STEPS):
            features = torch.randn(1, model.geometry.step_length, model.geometry.input_dim)
            length = torch.tensor([features.shape[1]])
            encoding, lengths, state = encoder(features, length, state)
            expected, expected_lengths, theirs = model.rnnt.transcribe_streaming(features, length, theirs)
            torch.testing.assert_close(encoding, expected, rtol=0, atol=MODULE)
            assert lengths.tolist() == expected_lengths.tolist()


@pytest.fixture
def opened(exported: Export, tmp_path: Path) -> Callable[..., Baseline]:
    """Opens a baseline of the exported model, whose weights lie in files."""
    weights, sizes = tmp_path / "model.pt", tmp_path / "model.json"
    torch.save(exported(NAME).source.rnnt.state_dict(), weights)
    sizes.write_text(json.dumps(CONFIGS[NAME]), encoding="utf-8")
    return lambda factory: factory(exported(NAME).manifest, str(weights), str(sizes), 4, 1)


def test_without_a_compiler_one_line_says_so(opened: Callable[..., Baseline]) -> None:
    with (
        inductor_config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.raises(MissingDependency, match=r"^[^\n]*C\+\+ compiler[^\n]*$"),
    ):
        opened(open_inductor)


def test_without_torchao_one_line_says_so(opened: Callable[..., Baseline], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emf.export.inductor.require_compiler", lambda: None)
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(MissingDependency, match="pip install torchao"):
        opened(open_inductor_int8)


@pytest.mark.filterwarnings("default")
def test_int8_quantizes_every_product_of_a_weight(exported: Export) -> None:
    pytest.importorskip("torchao")
    predictor = exported(NAME).source.rnnt.predictor
    step = PredictorStep(copy.deepcopy(predictor)).eval()
    ones = torch.ones(2, dtype=torch.int64)
    quantized: Any = quantize_dynamic(step, (ones[:, None], ones, step.zeros(2)))
    called = [str(node.target) for node in quantized.graph.nodes]
    linears = [module for module in predictor.modules() if isinstance(module, torch.nn.Linear)]
    assert sum("dequantize_per_channel" in name for name in called) == len(linears)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_it_is_frozen_and_compiled_once(opened: Callable[..., Baseline]) -> None:
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    baseline, eager = opened(open_inductor), opened(open_eager)
    graphs, packed = counters["stats"]["unique_graphs"], counters["inductor"]["mkldnn_linear_weight_pack_matcher_count"]
    assert graphs == 3
    assert packed > 3, "weights that are not frozen are not packed"
    found, expected = Measurements(), Measurements()
    for length in (1.0, 0.7):
        baseline.measure(speech_like(length), found)
        eager.measure(speech_like(length), expected)
    assert found.tokens == expected.tokens and any(found.tokens)
    assert counters["stats"]["unique_graphs"] == graphs, "compiled again while it is measured"
