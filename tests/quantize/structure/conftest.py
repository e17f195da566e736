"""Speech long enough for a what-if, and the tiny model on it."""

from pathlib import Path

import onnxruntime
import pytest
import soundfile

from emf.quantize.structure.encoder import Encoder
from emf.quantize.structure.speech import REFERENCE, Said, Speech
from emf.quantize.structure.weights import EncoderWeights, read_weights
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.speech.utterances import read_speech_manifest
from tests.signals import SAMPLE_RATE, speech_like

DECODING = Decoding(RecognizerOptions(beam_width=3, num_threads=1))
WITHOUT_MIXTURES = onnxruntime.__version__.startswith("1.22.")
"""ONNX Runtime 1.22 has no MoE on processors: `emf-report` says so in the rows that time it."""


@pytest.fixture(scope="session")
def long_speech(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of four utterances by two speakers, with what the model hears and a word beside it."""
    folder = tmp_path_factory.mktemp("long_speech")
    recognizer = DECODING.open(tiny_artifact)
    lines = ["path\tspeaker\ttranscript"]
    for index in range(4):
        samples = speech_like(3.0 + 0.1 * index, seed=index)
        soundfile.write(folder / f"{index}.wav", samples, SAMPLE_RATE, subtype="FLOAT")
        text = recognizer.transcribe(samples, SAMPLE_RATE).text
        lines.append(f"{index}.wav\tspeaker{index % 2}\tzebra {text}")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "manifest.tsv"


@pytest.fixture(scope="session")
def tiny(tiny_artifact: Path) -> EncoderWeights:
    """The tiny model's weights."""
    return read_weights(read_manifest(tiny_artifact))


@pytest.fixture(scope="session")
def trial(tiny_artifact: Path, long_speech: Path) -> Speech:
    """The speech, with the tiny model to search it."""
    decoding = DECODING.of_variant(REFERENCE)
    return Speech(decoding.open(tiny_artifact), decoding, read_speech_manifest(long_speech), 60.0)


@pytest.fixture(scope="session")
def said(trial: Speech, tiny: EncoderWeights) -> Said:
    """What the tiny model says of it."""
    return trial.said(trial.search(trial.encode(Encoder(tiny, trial.geometry))))
