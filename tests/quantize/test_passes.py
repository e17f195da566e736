"""Passes over several segments in INT8: one set of parameters with the single step, and one text however it is read."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from emf.quantize.calibration import CalibrationOptions, calibrate
from emf.quantize.recipe import make_recipe
from emf.quantize.variant import VariantRequest, add_variant
from emf.runtime import Recognizer
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.session import BACKENDS
from emf.runtime.speech.utterances import read_speech_manifest
from tests.conftest import Export
from tests.signals import SAMPLE_RATE, speech_like


@pytest.fixture(scope="module")
def artifact(exported: Export, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("passes") / "artifact"
    shutil.copytree(exported("like-base").root, root)
    options = CalibrationOptions(40, beam_width=4)
    calibration = calibrate(read_manifest(root), read_speech_manifest(speech), options)
    assert all(len(inputs["features"][0]) == 20 for inputs in calibration.samples["encoder"]), "single steps alone"
    add_variant(root, VariantRequest("int8", make_recipe("int8"), BACKENDS), calibration)
    return root


@pytest.mark.parametrize("backend", BACKENDS)
def test_passes_of_a_quantized_encoder(artifact: Path, backend: str) -> None:
    manifest = read_manifest(artifact)
    encoder, floats = (manifest.variant(Variant(backend, name))["encoder"] for name in ("int8", "fp32"))
    assert encoder.passes == floats.passes is not None
    recognizer, audio = Recognizer.load(artifact, backend=backend, precision="int8", num_threads=1), speech_like(3.0)
    encoders = []
    for length in (len(audio), 5000, 16_000):
        stream = recognizer.create_stream(recording=True)
        for begin in range(0, len(audio), length):
            stream.accept_waveform(SAMPLE_RATE, audio[begin : begin + length])
            recognizer.decode_ready([stream])
        stream.input_finished()
        recognizer.decode_ready([stream])
        encoders.append(stream.state.encoder)
    singly = recognizer.create_stream()
    singly.accept_waveform(SAMPLE_RATE, audio)
    recognizer.decode_ready([singly])
    singly.input_finished()
    recognizer.decode_ready([singly])
    expected = singly.state.encoder.arrays["attention_cache"].astype(np.float64)
    for encoder_state in encoders:
        found = encoder_state.arrays["attention_cache"].astype(np.float64)
        np.testing.assert_array_equal(found, encoders[0].arrays["attention_cache"])
        noise = np.square(found - expected).mean() / np.square(expected).mean()
        assert noise < 1e-2, "the same scales: it differs by rounding alone"
