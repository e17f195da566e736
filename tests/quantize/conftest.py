"""A copy of the tiny artifact with every variant in it, and speech whose words the model almost knows."""

import shutil
from pathlib import Path

import pytest
import soundfile

from emf.quantize.calibration import CalibrationOptions, CalibrationSet, calibrate
from emf.quantize.recipe import PRECISIONS, make_recipe
from emf.quantize.variant import VariantRequest, add_variant
from emf.runtime import Recognizer
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.inference.session import BACKENDS
from emf.runtime.speech.utterances import read_speech_manifest
from tests.signals import SAMPLE_RATE, speech_like

SECONDS = (1.5, 2.0, 2.5)


@pytest.fixture(scope="session")
def speech(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest.tsv: what the float model hears, with a word changed, one missing and one too many."""
    folder = tmp_path_factory.mktemp("speech")
    recognizer = Recognizer.load(tiny_artifact, beam_width=4)
    lines = ["path\tspeaker\ttranscript"]
    for index, seconds in enumerate(SECONDS):
        samples = speech_like(seconds, seed=index)
        soundfile.write(folder / f"{index}.wav", samples, SAMPLE_RATE, subtype="FLOAT")
        words = recognizer.transcribe(samples, SAMPLE_RATE).text.split()
        changed = [["zebra", *words[1:]], words[:-1], ["zebra", *words]][index]
        lines.append(f"{index}.wav\tspeaker{index}\t{' '.join(changed)}")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "manifest.tsv"


@pytest.fixture(scope="session")
def calibration(tiny_artifact: Path, speech: Path) -> CalibrationSet:
    """Recorded inputs of the tiny model."""
    return calibrate(read_manifest(tiny_artifact), read_speech_manifest(speech), CalibrationOptions(40, beam_width=4))


@pytest.fixture(scope="session")
def quantized(tiny_artifact: Path, calibration: CalibrationSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny artifact with all variants that its engines can have. Not to be changed by tests."""
    root = tmp_path_factory.mktemp("quantized") / "artifact"
    shutil.copytree(tiny_artifact, root)
    for precision in PRECISIONS:
        backends = BACKENDS if precision != "bf16" else ("openvino",)
        add_variant(root, VariantRequest(precision, make_recipe(precision), backends), calibration)
    return root


@pytest.fixture
def artifact(tiny_artifact: Path, tmp_path: Path) -> Path:
    """A copy of the tiny artifact that a test may change."""
    return shutil.copytree(tiny_artifact, tmp_path / "artifact")
