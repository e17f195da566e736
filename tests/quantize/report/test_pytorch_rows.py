"""PyTorch's rows of the report: eager says what the runtime says, every other way is what its name claims."""

import json
from pathlib import Path

import pytest
import soundfile
import torch

from emf.export.baseline import open_dynamic_int8, open_eager
from emf.quantize.accuracy import word_counts
from emf.quantize.report.pytorch_rows import PyTorchModel, pytorch_row
from emf.quantize.report.rows import BaselineRow, FailedBaseline
from emf.runtime import Recognizer
from emf.runtime.errors import UsageError
from emf.runtime.measure.baselines import baseline_names, load_baseline
from emf.runtime.measure.document import to_document
from emf.runtime.measure.latency import Measurements
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.speech.utterances import read_speech_manifest
from tests.conftest import Export
from tests.oracle import CONFIGS
from tests.signals import SAMPLE_RATE, speech_like
from tests.skeleton import expected_skeleton, in_order, skeleton

NAME = "like-base"


@pytest.fixture(scope="module")
def model(exported: Export, tmp_path_factory: pytest.TempPathFactory) -> PyTorchModel:
    """The exported model's weights and sizes as files."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save(exported(NAME).source.rnnt.state_dict(), folder / "model.pt")
    (folder / "model.json").write_text(json.dumps(CONFIGS[NAME]), encoding="utf-8")
    return PyTorchModel(str(folder / "model.pt"), str(folder / "model.json"))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    soundfile.write(folder / "a.wav", speech_like(2.0), SAMPLE_RATE, subtype="FLOAT")
    (folder / "manifest.tsv").write_text("path\ttranscript\na.wav\tone two three\n", encoding="utf-8")
    return folder / "manifest.tsv"


def test_eager_makes_the_runtimes_errors(exported: Export, model: PyTorchModel, speech: Path) -> None:
    artifact, utterances = exported(NAME).root, read_speech_manifest(speech)
    row = pytorch_row(
        artifact, "torchaudio", model, utterances, Decoding(RecognizerOptions(beam_width=4, num_threads=1))
    )
    recognizer = Recognizer.load(artifact, beam_width=4, num_threads=1, frontend="windowed")
    text = recognizer.transcribe(speech_like(2.0), SAMPLE_RATE).text
    counts = word_counts(["one two three"], [text])
    assert isinstance(row, BaselineRow)
    assert text and row.wer == counts.rate and row.edits == counts.totals()
    assert row.figures.audio_s == 2.0 and row.figures.chunk_ms.p50 > 0 and row.peak_rss_bytes > 0
    (expected,) = expected_skeleton("report_skeleton.json")["baselines"]
    assert in_order(skeleton(to_document(row))) == in_order(expected)


@pytest.mark.parametrize("name", ["torchaudio-bfloat16", "torchaudio-float16"])
def test_autocast_runs_or_says_why_not(exported: Export, model: PyTorchModel, speech: Path, name: str) -> None:
    decoding = Decoding(RecognizerOptions(beam_width=2, num_threads=1))
    row = pytorch_row(exported(NAME).root, name, model, read_speech_manifest(speech), decoding)
    assert row.name == name and (isinstance(row, BaselineRow) or row.error)


def test_dynamic_int8_computes_otherwise(exported: Export, model: PyTorchModel) -> None:
    manifest = exported(NAME).manifest
    eager, quantized = (
        factory(manifest, model.checkpoint, model.config, 2, 1) for factory in (open_eager, open_dynamic_int8)
    )
    kinds = {type(module).__module__ for module in quantized._reference.source.rnnt.modules()}
    assert any("quantized.dynamic" in kind for kind in kinds)
    assert not any(isinstance(m, torch.nn.Linear) for m in quantized._reference.source.rnnt.joiner.modules())
    for baseline in (eager, quantized):
        measurements = Measurements()
        baseline.measure(speech_like(1.0), measurements)
        assert len(measurements.tokens) == 1 and len(measurements.chunks) == len(measurements.components)


def test_a_failing_way_is_a_row(exported: Export, speech: Path, tmp_path: Path) -> None:
    row = pytorch_row(
        exported(NAME).root,
        "torchaudio",
        PyTorchModel(str(tmp_path / "none.pt")),
        read_speech_manifest(speech),
        Decoding(),
    )
    assert isinstance(row, FailedBaseline)
    assert to_document(row) == {"name": "torchaudio", "error": row.error}
    assert "none.pt" in row.error and "\n" not in row.error


def test_names() -> None:
    assert baseline_names()[0] == "torchaudio" and "torchaudio-int8" in baseline_names()
    with pytest.raises(UsageError, match="torchaudio-compile"):
        load_baseline("theano")
