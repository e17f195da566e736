"""The encoder in numpy, and as a graph to be timed, against torchaudio's modules."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from emf.export.graphs.encoder import EncoderGraph
from emf.quantize.structure.encoder import Encoder, activate
from emf.quantize.structure.encoder_graph import write_step
from emf.quantize.structure.geometry import grid
from emf.quantize.structure.speech import Speech, with_lengths
from emf.quantize.structure.weights import EncoderWeights, read_weights
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Geometry
from emf.runtime.errors import ArtifactError, UsageError
from tests.conftest import Export
from tests.signals import SAMPLE_RATE, speech_like

STEPS = 70


def windows(geometry: Geometry, steps: int = STEPS) -> FloatArray:
    return np.random.default_rng(0).standard_normal((steps, geometry.step_length, geometry.input_dim), np.float32)


@pytest.mark.parametrize("name", ["like-base", "left-below-segment"])
@pytest.mark.parametrize("lengths", [None, (12, 8, 7), (32, 0, 20)])
def test_any_geometry_is_torchaudios(exported: Export, name: str, lengths: tuple[int, int, int] | None) -> None:
    model = exported(name)
    geometry = model.manifest.geometry if lengths is None else with_lengths(model.manifest.geometry, *lengths)
    given = windows(geometry)
    graph = EncoderGraph(model.source.rnnt.transcriber, geometry).eval()
    with torch.inference_mode():
        rows = torch.from_numpy(given).reshape(1, -1, geometry.input_dim)
        expected = graph(rows, *list(graph.example_inputs(1).values())[1:])[0]
    found = Encoder(read_weights(model.manifest), geometry).encode(given)
    np.testing.assert_allclose(found.reshape(expected.shape), expected.numpy(), atol=1e-4)


def test_a_timed_step_computes_the_step(trial: Speech, tiny: EncoderWeights, tmp_path: Path) -> None:
    geometry = with_lengths(trial.geometry, 12, 8, 6)
    session = onnxruntime.InferenceSession(str(write_step(tmp_path / "step.onnx", tiny, geometry)))
    given = windows(geometry, 8)  # all that the first steps read of the empty cache is forgotten by then
    heads, dim = tiny.num_heads, tiny.dim
    cache = np.zeros((2 * len(tiny.layers), heads, geometry.left_context_length, dim // heads), np.float32)
    encoding = np.zeros(0, np.float32)
    for window in given:
        encoding, new = session.run(None, {"features": window[None], "cache": cache})
        cache = np.concatenate([cache, new], axis=2)[:, :, -geometry.left_context_length :]
    np.testing.assert_allclose(encoding, Encoder(tiny, geometry).encode(given)[-1], atol=1e-4)


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu"])
def test_activations(activation: str) -> None:
    x = np.linspace(-9, 9, 2001, dtype=np.float32)
    expected = getattr(torch.nn.functional, activation)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(activate(x, activation), expected, atol=2e-6)


def test_the_artifact_is_checked(trial: Speech, tiny: EncoderWeights) -> None:
    assert trial.check(Encoder(tiny, trial.geometry)) < 1e-4


@pytest.mark.parametrize(("name", "words"), [("memory-tanh", "without a memory bank"), ("no-state", "left context")])
def test_models_that_it_does_not_measure(exported: Export, name: str, words: str) -> None:
    with pytest.raises((UsageError, ArtifactError), match=words):
        read_weights(exported(name).manifest)


def test_the_grid_is_what_torchaudio_can_run(exported: Export) -> None:
    trained = exported("like-base").manifest.geometry
    found = grid(trained)
    assert found[0] == trained and len(set(found)) == len(found)
    for one in found:
        assert one.segment_length % one.subsampling_factor == one.right_context_length % one.subsampling_factor == 0


def test_what_it_says_is_what_the_recognizer_says(trial: Speech, tiny: EncoderWeights) -> None:
    tokens = trial.search(trial.encode(Encoder(tiny, trial.geometry)))
    for index, found in enumerate(tokens):
        stream_text = trial.recognizer.transcribe(speech_like(3.0 + 0.1 * index, seed=index), SAMPLE_RATE)
        assert found == tuple(stream_text.token_ids)
