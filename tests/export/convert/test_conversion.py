"""Converted models: the graphs are the converted torchaudio model, and at full size that is the original."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from emf.export.convert.conversion import ConversionOptions, convert
from emf.export.convert.rolling import encode, encoder_of, feature_windows
from emf.export.graphs.graphs import make_graphs
from emf.export.graphs.states import EncoderStates
from emf.export.model import SourceModel
from emf.export.parity.reference import Reference
from emf.runtime.errors import AudioError, UsageError
from tests.export.graphs.chain import Chain
from tests.oracle import CONFIGS, source
from tests.signals import speech_like
from tests.tolerances import MODULE

MODELS = [name for name in CONFIGS if name != "no-state"]
STEPS = 14


def recordings(model: SourceModel, count: int = 6) -> list[Callable[[], torch.Tensor]]:
    return [partial(lambda seed: feature_windows(model, speech_like(4.0, seed)), seed) for seed in range(count)]


def converted(name: str, rank: float | None, share: float | None = None) -> SourceModel:
    model = source(name)
    return convert(model, ConversionOptions(rank, share), recordings(model))[0]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("rank", "share"), [(5, 0.5), (0.95, None)])
def test_the_graph_is_the_converted_model(name: str, rank: float, share: float | None) -> None:
    """Latents, merged, against torchaudio's own `infer` with keys and values of low rank; states chained."""
    model = converted(name, rank, share)
    graph, _, _ = make_graphs(model.rnnt, model.geometry, latents=model.latents)
    chain = Chain(graph.module, graph.states, batch=1)  # type: ignore[arg-type]
    states = Reference(model, beam_width=2).states
    state, generator = None, torch.Generator().manual_seed(1)
    with torch.inference_mode():
        for step in range(STEPS):
            features = torch.randn(1, model.geometry.step_length, model.geometry.input_dim, generator=generator)
            expected, _, state = model.rnnt.transcribe_streaming(features, torch.tensor([features.shape[1]]), state)
            torch.testing.assert_close(chain.step(features), expected, rtol=0, atol=MODULE, msg=f"step {step}")
            packed = states.of_torchaudio(state)
            for tensor, found in chain.in_time_order().items():
                np.testing.assert_allclose(found, packed[tensor], rtol=0, atol=MODULE, err_msg=f"{tensor}, step {step}")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("cache", ["float32", "int8"])
def test_several_segments_in_one_pass(name: str, cache: str) -> None:
    model = converted(name, 5)
    graph, _, _ = make_graphs(model.rnnt, model.geometry, cache, latents=model.latents)
    generator = torch.Generator().manual_seed(5)
    singly, grouped = (Chain(graph.module, graph.states, batch=2) for _ in range(2))  # type: ignore[arg-type]
    with torch.inference_mode():
        for segments in (3, 1, 8, 5):
            shape = (2, segments, model.geometry.step_length, model.geometry.input_dim)
            features = torch.randn(shape, generator=generator)
            expected = torch.cat([singly.step(window) for window in features.unbind(1)], dim=1)
            found = grouped.step(features.flatten(1, 2))
            # In int8 a value at the border of two whole numbers may go to either.
            torch.testing.assert_close(found, expected, rtol=0, atol=MODULE if cache == "float32" else 0.05)


@pytest.mark.parametrize("name", MODELS)
def test_at_full_size_nothing_changes(name: str) -> None:
    model = source(name)
    whole = converted(name, int(model.rnnt.transcriber.transformer.emformer_layers[0].attention.input_dim), 1.0)
    steps = feature_windows(model, speech_like(5.0, seed=9))
    found = encode(encoder_of(whole), steps)
    torch.testing.assert_close(found, encode(encoder_of(model), steps), rtol=0, atol=2 * MODULE)
    assert whole.conversion is not None and max(whole.conversion["lost_energy"]) < 1e-12


@pytest.mark.parametrize("name", MODELS)
def test_whole_recordings_are_encoded_as_step_by_step(name: str) -> None:
    """What statistics are taken of is what streams compute, over many passes."""
    model = source(name)
    steps = feature_windows(model, speech_like(14.0, seed=3))
    assert len(steps) > 64
    state, expected = None, []
    with torch.inference_mode():
        for window in steps:
            encoding, _, state = model.rnnt.transcribe_streaming(window[None], torch.tensor([len(window)]), state)
            expected.append(encoding[0])
    torch.testing.assert_close(encode(encoder_of(model), steps), torch.cat(expected), rtol=0, atol=MODULE)


def test_the_original_stays_as_it_is_and_seeds_repeat() -> None:
    model = source("like-base")
    before = {name: tensor.clone() for name, tensor in model.rnnt.state_dict().items()}
    first, second = (convert(model, ConversionOptions(6, 0.5), recordings(model))[1] for _ in range(2))
    assert first == second and len(first.weights_sha256) == 64
    for name, tensor in model.rnnt.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_symbols_kept_have_their_old_scores(tmp_path: Path) -> None:
    model = source("like-base")
    names = model.pieces.pieces
    (tmp_path / "symbols.txt").write_text(f"{names[7]}\n3\n{names[12]} 12\n\n7\n", encoding="utf-8")
    small, record = convert(model, ConversionOptions(symbols=tmp_path / "symbols.txt"), [])
    assert record.symbols == (3, 7, 12, 32) and small.geometry.num_symbols == 4
    assert small.pieces.pieces == tuple(names[index] for index in record.symbols) and small.pieces.hidden_ids == (3,)
    encoding, one = torch.randn(1, 1, 24), torch.tensor([1])
    for new, old in enumerate(record.symbols):
        pair = []
        for rnnt, token in ((small.rnnt, new), (model.rnnt, old)):
            prediction, _, _ = rnnt.predict(torch.tensor([[token]]), one, None)
            pair.append(rnnt.join(encoding, one, prediction, one)[0][0, 0, 0])
        torch.testing.assert_close(pair[0], pair[1][list(record.symbols)])


@pytest.mark.parametrize("lines", ["", "99\n", "nonsense\n", "32\n"])
def test_other_symbols_are_refused(tmp_path: Path, lines: str) -> None:
    (tmp_path / "symbols.txt").write_text(lines)
    with pytest.raises(UsageError):
        convert(source("like-base"), ConversionOptions(symbols=tmp_path / "symbols.txt"), [])


@pytest.mark.parametrize(
    ("rank", "share"), [(0, None), (2.5, None), (-1, None), (None, 0.0), (None, 1.1), (1e999, None)]
)
def test_options_without_sense(rank: float | None, share: float | None) -> None:
    with pytest.raises(UsageError):
        ConversionOptions(rank, share)


def test_what_cannot_be_converted() -> None:
    model = source("like-base")
    with pytest.raises(UsageError, match="at most 32"):
        convert(model, ConversionOptions(33), recordings(model))
    with pytest.raises(AudioError, match="at least 32 frames"):
        convert(model, ConversionOptions(4), [lambda: feature_windows(model, speech_like(0.5, 0))])
    with pytest.raises(UsageError, match="converted one"):
        convert(converted("like-base", 4), ConversionOptions(4), recordings(model))


def test_a_stream_keeps_a_fraction() -> None:
    model = converted("like-base", 4)
    small = Reference(model, 2).states.tensors[1]
    whole = EncoderStates(model.rnnt.transcriber, model.geometry).tensors[1]
    assert np.prod([size or 1 for size in small.shape]) * 16 == np.prod([size or 1 for size in whole.shape])
    assert replace(small, shape=whole.shape, axis=2) == whole
