"""Another layout of the encoder's state is one change: whatever reads the manifest takes it as it comes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from emf.export.artifact import ExportOptions, export_artifact
from emf.export.graphs.cache_format import Rows
from emf.export.graphs.states import EncoderStates, Past, StateTensor
from emf.runtime import Recognizer
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.inference.session import BACKENDS
from tests.conftest import Export
from tests.oracle import source
from tests.signals import SAMPLE_RATE, speech_like

CONFIG = "memory-tanh"


class LayersFirst(EncoderStates):
    """Keys and values of all streams beside each other within a layer: the batch is axis 1, and the ring axis 3.

    No tensor is read by row, as in artifacts of 0.1.
    """

    def _tensors(self) -> tuple[StateTensor, ...]:
        return tuple(
            replace(tensor, shape=(tensor.shape[1], None, tensor.shape[3], tensor.shape[2]), axis=3, by_row=False)
            if tensor.name == "attention_cache"
            else replace(tensor, by_row=False)
            for tensor in super()._tensors()
        )

    def read(self, states: Sequence[Tensor]) -> Past:
        length, cache, *others = states
        return super().read([length, cache.permute(1, 0, 3, 2), *others, torch.arange(length.shape[0])])

    def write(self, length: Tensor | None, caches: list[Rows], memories: list[Tensor]) -> tuple[Tensor, ...]:
        first, cache, *others = super().write(length, caches, memories)
        return (first, cache.permute(1, 0, 3, 2), *others)

    def of_torchaudio(self, state: list[list[Tensor]]) -> dict[str, FloatArray]:
        packed = super().of_torchaudio(state)
        return packed | {"attention_cache": packed["attention_cache"].transpose(1, 0, 3, 2)}


@pytest.fixture(scope="module")
def layers_first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact with that layout, which passed the check that every export ends with."""
    folder = tmp_path_factory.mktemp("layout") / "artifact"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emf.export.graphs.encoder.EncoderStates", LayersFirst)
        patch.setattr("emf.export.parity.reference.EncoderStates", LayersFirst)
        export_artifact(source(CONFIG), folder, ExportOptions(BACKENDS, speech_like(3.0)))
    return folder


def test_the_manifest_says_where_the_batch_is(layers_first: Path) -> None:
    for graph in read_manifest(layers_first).graphs:
        axes = {tensor.name: tensor.batch_axis for tensor in (*graph.inputs, *graph.outputs)}
        named = {name for name, axis in axes.items() if axis == 1}
        assert named == ({"attention_cache", "new_attention_cache"} if graph.name == "encoder" else set())


@pytest.mark.parametrize("backend", BACKENDS)
def test_streams_alone_in_batches_and_restored(exported: Export, layers_first: Path, backend: str) -> None:
    usual = Recognizer.load(exported(CONFIG).root, backend=backend, num_threads=1)
    other = Recognizer.load(layers_first, backend=backend, num_threads=1)
    recordings = [speech_like(1.0 + 0.3 * seed, seed) for seed in range(6)]
    expected = [usual.transcribe(samples, SAMPLE_RATE).token_ids for samples in recordings]
    streams = [other.create_stream() for _ in recordings]
    for stream, samples in zip(streams, recordings, strict=True):
        stream.accept_waveform(SAMPLE_RATE, samples)
        stream.input_finished()
    for _ in range(4):
        other.decode_streams(streams)
    moved = [other.restore_stream(stream.snapshot()) for stream in streams]
    other.decode_ready(moved)
    assert [other.get_result(stream).token_ids for stream in moved] == expected
    assert sum(map(len, expected)) > 20
    np.testing.assert_equal(moved[0].state.encoder.arrays["attention_cache"].shape[1], 1)
