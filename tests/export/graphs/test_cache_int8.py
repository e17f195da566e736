"""Keys and values in int8: the export's check models the roundings, and every stream keeps a quarter of the bytes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from emf.export.artifact import ExportOptions, export_artifact, write_files
from emf.export.graphs.cache_format import CacheFormat
from emf.export.parity.verification import Verification
from emf.export.parity.verify import verify
from emf.runtime import Recognizer
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.errors import SnapshotError, ToleranceError
from emf.runtime.inference.session import BACKENDS
from tests.conftest import Export
from tests.oracle import CONFIGS, source
from tests.signals import SAMPLE_RATE, speech_like
from tests.tolerances import TENSOR

NAME = "memory-tanh"
SAMPLES = speech_like(4.0)


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verification]:
    folder = tmp_path_factory.mktemp("cache") / "artifact"
    _, verification = export_artifact(source(NAME), folder, ExportOptions(BACKENDS, SAMPLES, cache="int8"))
    return folder, verification


def test_equal_to_pytorch_with_the_same_roundings(rounded: tuple[Path, Verification]) -> None:
    _, verification = rounded
    assert verification.tokens_equal and verification.num_tokens > 10
    for deviations in verification.deviations.values():
        assert deviations.worst() <= TENSOR
        assert {"encoder.attention_cache", "encoder.new_attention_cache"} <= deviations.by_tensor.keys()
    drift = verification.drift
    assert drift is not None and drift.cache == "int8"
    assert 20.0 < drift.signal_to_noise_db < 90.0, "rounding cannot vanish, and must stay far below what the values are"
    assert drift.kept > 10_000 and drift.other_side < 1e-3 * drift.kept


def test_from_the_waveform_on(rounded: tuple[Path, Verification]) -> None:
    manifest = read_manifest(rounded[0])
    found = verify(source(NAME), manifest, speech_like(2.0, 3), TENSOR, from_waveform=True)
    assert [(waveform.mistake, waveform.tokens_equal) for waveform in found.waveforms] == [(None, True)] * len(BACKENDS)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stream_keeps_fewer_bytes(exported: Export, rounded: tuple[Path, Verification], backend: str) -> None:
    sizes = []
    for root in (exported(NAME).root, rounded[0]):
        recognizer = Recognizer.load(root, backend=backend, num_threads=1)
        kept = recognizer.transducer.initial_encoder_state().arrays
        cache, units = kept["attention_cache"], kept.get("attention_cache_units", np.zeros(0, np.float32))
        sizes.append(cache.nbytes + units.nbytes)
        sizes.append(len(recognizer.create_stream().snapshot()))
    frames, layers = cache.shape[2], CONFIGS[NAME]["transformer_num_layers"]
    assert sizes[2] == sizes[0] // 4 + layers * 2 * frames * 4, (
        "a number for the keys and one for the values of a frame"
    )
    assert sizes[1] - sizes[3] == pytest.approx(sizes[0] - sizes[2], abs=256), "but for the header"
    specs = {t.name: t for t in read_manifest(rounded[0]).variant(Variant(backend, "fp32"))["encoder"].inputs}
    assert specs["attention_cache"].dtype == "int8" and specs["past_length"].dtype == "int64"


@pytest.mark.parametrize("backend", BACKENDS)
def test_streams_in_a_batch_across_a_snapshot_and_in_passes(rounded: tuple[Path, Verification], backend: str) -> None:
    recognizer = Recognizer.load(rounded[0], backend=backend, num_threads=1)
    expected = recognizer.transcribe(SAMPLES, SAMPLE_RATE)
    streams = [recognizer.create_stream() for _ in range(3)]
    for stream in streams:
        stream.accept_waveform(SAMPLE_RATE, SAMPLES[: len(SAMPLES) // 2])
        while recognizer.is_ready(stream):
            recognizer.decode_streams([stream])
    snapshot = streams[1].snapshot()
    streams[1] = recognizer.restore_stream(snapshot)
    assert streams[1].snapshot() == snapshot
    for stream in streams:
        stream.accept_waveform(SAMPLE_RATE, SAMPLES[len(SAMPLES) // 2 :])
        stream.input_finished()
    while any(map(recognizer.is_ready, streams)):
        recognizer.decode_streams([stream for stream in streams if recognizer.is_ready(stream)])
    assert {recognizer.get_result(stream).text for stream in streams} == {expected.text}


def test_a_snapshot_of_units_is_not_one_of_values(exported: Export, rounded: tuple[Path, Verification]) -> None:
    plain = Recognizer.load(exported(NAME).root, num_threads=1)
    stream = plain.create_stream()
    with pytest.raises(SnapshotError, match=r"attention_cache: expected int8 .*, found float32"):
        Recognizer.load(rounded[0], num_threads=1).restore_stream(stream.snapshot())


def round_down(cache: CacheFormat, units: torch.Tensor) -> torch.Tensor:
    return units.floor().to(cache.dtype)


def test_a_graph_that_rounds_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*arguments: object) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(CacheFormat, "kept", round_down)
            return write_files(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("emf.export.artifact.write_files", write)
    options = ExportOptions(("onnxruntime",), speech_like(1.0), cache="int8")
    with pytest.raises(ToleranceError, match=r"encoder\.new_attention_cache deviates"):
        export_artifact(source("like-base"), tmp_path / "a", options)
    assert not (tmp_path / "a").exists()
