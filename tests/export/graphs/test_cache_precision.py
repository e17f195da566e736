"""A cache in float16: half the state, the same tokens, and a deviation that the check tells."""

from pathlib import Path

import numpy as np
import pytest

from emf.export.artifact import ATOL, ExportOptions, export_artifact
from emf.export.parity.verification import Verification
from emf.runtime import Recognizer
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.errors import ToleranceError
from emf.runtime.inference.session import BACKENDS
from tests.oracle import source
from tests.signals import SAMPLE_RATE, speech_like

NAME = "like-base"
SAMPLES = speech_like(4.0)


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verification]:
    folder = tmp_path_factory.mktemp("cache") / "artifact"
    _, verification = export_artifact(source(NAME), folder, ExportOptions(BACKENDS, SAMPLES, cache="float16"))
    return folder, verification


def test_tokens_stay_and_the_deviation_is_told(halved: tuple[Path, Verification]) -> None:
    _, verification = halved
    assert verification.tokens_equal and verification.num_tokens > 10
    for deviations in verification.deviations.values():
        # Rounding to 11 bits cannot vanish, and must stay far below what the values are.
        assert 1e-5 < deviations.by_tensor["encoder.attention_cache"] < ATOL["float16"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stream_keeps_half_the_bytes(halved: tuple[Path, Verification], backend: str) -> None:
    recognizer = Recognizer.load(halved[0], backend=backend, num_threads=1)
    cache = recognizer.transducer.initial_encoder_state().arrays["attention_cache"]
    specs = {t.name: t for t in read_manifest(halved[0]).variant(Variant(backend, "fp32"))["encoder"].inputs}
    assert cache.dtype == np.float16 and specs["attention_cache"].dtype == "float16"
    assert recognizer.transducer.initial_encoder_state().arrays["past_length"].dtype == np.int64


@pytest.mark.parametrize("backend", BACKENDS)
def test_streams_in_a_batch_and_across_a_snapshot(halved: tuple[Path, Verification], backend: str) -> None:
    recognizer = Recognizer.load(halved[0], backend=backend, num_threads=1)
    expected = recognizer.transcribe(SAMPLES, SAMPLE_RATE)
    streams = [recognizer.create_stream() for _ in range(3)]
    for stream in streams:
        stream.accept_waveform(SAMPLE_RATE, SAMPLES[: len(SAMPLES) // 2])
        while recognizer.is_ready(stream):
            recognizer.decode_streams([stream])
    streams[1] = recognizer.restore_stream(streams[1].snapshot())
    for stream in streams:
        stream.accept_waveform(SAMPLE_RATE, SAMPLES[len(SAMPLES) // 2 :])
        stream.input_finished()
    while any(map(recognizer.is_ready, streams)):
        recognizer.decode_streams([stream for stream in streams if recognizer.is_ready(stream)])
    assert {recognizer.get_result(stream).text for stream in streams} == {expected.text}


def test_the_float32_tolerance_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(ToleranceError, match="atol"):
        export_artifact(
            source(NAME), tmp_path / "a", ExportOptions(("onnxruntime",), SAMPLES, atol=1e-4, cache="float16")
        )
    assert not (tmp_path / "a").exists()
