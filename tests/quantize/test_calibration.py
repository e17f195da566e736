"""Calibration sees what a running stream sees."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile

from emf.quantize.calibration import CalibrationOptions, CalibrationSet, calibrate
from emf.quantize.corpus import read_corpus
from emf.quantize.recording import STAGE_SHARES, Recorder, Reservoir
from emf.runtime import AudioError, UsageError
from emf.runtime.arrays import Array, Arrays, FloatArray
from emf.runtime.artifact.files import sha256_of
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.speech.utterances import read_speech_manifest
from tests.signals import SAMPLE_RATE


def test_states_are_those_of_running_streams(calibration: CalibrationSet) -> None:
    lengths = [int(sample["past_length"][0]) for sample in calibration.samples["encoder"]]
    assert 0 in lengths
    assert max(lengths, default=0) > 6, "never with full left context"
    warm = [
        np.abs(np.asarray(sample["attention_cache"], np.float32))
        for sample, length in zip(calibration.samples["encoder"], lengths, strict=True)
        if length > 6
    ]
    assert all(cache.min(axis=(0, 1, 3)).any() and cache.max() > 0 for cache in warm)
    assert any(np.any(sample["lstm_state"]) for sample in calibration.samples["predictor"])


def test_all_stages_are_there(calibration: CalibrationSet) -> None:
    for graph, stages in calibration.description["samples"].items():
        assert set(stages) == set(STAGE_SHARES)
        assert all(counts["kept"] > 0 for counts in stages.values()), graph


def test_hypotheses_off_the_best_path_are_recorded(calibration: CalibrationSet) -> None:
    assert max(len(sample["prediction"]) for sample in calibration.samples["joiner"]) > 1
    assert max(len(sample["token"]) for sample in calibration.samples["predictor"]) > 1


def test_the_description_names_files_and_seed(calibration: CalibrationSet, speech: Path) -> None:
    files = sorted(calibration.description["files"], key=lambda file: str(file["name"]))
    assert files == [{"name": f"{i}.wav", "sha256": sha256_of(speech.parent / f"{i}.wav")} for i in range(3)]
    assert calibration.description["seed"] == 0


def test_the_same_seed_gives_the_same_samples(tiny_artifact: Path, speech: Path, calibration: CalibrationSet) -> None:
    options = CalibrationOptions(40, beam_width=4)
    again = calibrate(read_manifest(tiny_artifact), read_speech_manifest(speech), options)
    for graph, samples in calibration.samples.items():
        for one, other in zip(samples, again.samples[graph], strict=True):
            assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_reservoir_is_a_uniform_sample() -> None:
    kept: Counter[int] = Counter()
    for seed in range(600):
        reservoir = Reservoir(5, seed)
        for value in range(20):
            reservoir.offer({"value": np.array([value])})
        assert reservoir.offered == 20 and len(reservoir.items) == 5
        kept.update(int(item["value"][0]) for item in reservoir.items)
    assert len(kept) == 20
    assert min(kept.values()) > 100 and max(kept.values()) < 200  # 150 expected, 10.6 standard deviation


def test_silence_is_refused(tiny_artifact: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)
    with pytest.raises(AudioError, match="expected speech, found silence"):
        calibrate(read_manifest(tiny_artifact), read_corpus(tmp_path), CalibrationOptions(8))


def noise(seconds: float) -> FloatArray:
    return np.random.default_rng(0).normal(0.0, 0.1, max(1, round(seconds * SAMPLE_RATE))).astype(np.float32)


@pytest.mark.parametrize("samples", [noise(5.0), noise(0.0)], ids=["white noise", "one sample"])
def test_audio_in_which_nothing_is_recognised_is_refused(
    demo_artifact: Path, tmp_path: Path, samples: FloatArray
) -> None:
    """A beam search calls the predictor all the same, so its calls do not tell."""
    soundfile.write(tmp_path / "noise.wav", samples, SAMPLE_RATE)
    with pytest.raises(AudioError, match="expected speech that the model recognises"):
        calibrate(read_manifest(demo_artifact), read_corpus(tmp_path), CalibrationOptions(8))


def test_little_speech_among_noise_is_warned_of(
    demo_artifact: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shortest = min(read_corpus(None), key=lambda utterance: utterance.path.stat().st_size)
    shutil.copy(shortest.path, tmp_path)
    soundfile.write(tmp_path / "noise.wav", noise(5.0), SAMPLE_RATE)
    recorded = calibrate(read_manifest(demo_artifact), read_corpus(tmp_path), CalibrationOptions(8))
    assert 0 < recorded.description["tokens"] < 50
    assert "are little to calibrate on" in caplog.text


def test_the_bundled_speech_is_enough(demo_artifact: Path, caplog: pytest.LogCaptureFixture) -> None:
    calibrate(read_manifest(demo_artifact), read_corpus(None), CalibrationOptions(8))
    assert not caplog.records


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="expected num_samples from 1 to 100000"):
        CalibrationOptions(0)


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="expected sound files, found none"):
        read_corpus(tmp_path)


def test_a_missing_transcript_is_refused(tmp_path: Path, speech: Path) -> None:
    (tmp_path / "manifest.tsv").write_text(f"path\n{speech.parent / '0.wav'}\n", encoding="utf-8")
    with pytest.raises(AudioError, match="transcript is missing"):
        read_corpus(tmp_path, transcripts=True)
    (tmp_path / "manifest.tsv").write_text(f"path\ttranscript\n{speech.parent / '0.wav'}\t\n", encoding="utf-8")
    with pytest.raises(AudioError, match="expected a transcript"):
        read_corpus(tmp_path, transcripts=True)


def test_no_more_audio_is_decoded_than_asked_for(tiny_artifact: Path, speech: Path) -> None:
    utterances = read_corpus(speech)
    some, again, other = (
        calibrate(read_manifest(tiny_artifact), utterances, CalibrationOptions(8, seed, 4, max_seconds=2.0)).description
        for seed in (1, 1, 2)
    )
    assert 2.0 <= some["seconds"] < 4.6 and len(some["files"]) < len(utterances)
    assert some["files"] == again["files"] != other["files"]


def test_of_a_block_of_rows_only_those_read_are_kept() -> None:
    recorder, seen = Recorder(10, 0, {"ring": "rows"}), list[tuple[int, ...]]()

    class Session:
        def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
            seen.append(inputs["ring"].shape)
            return {}

    block = np.arange(2000.0).reshape(1000, 2)
    rows = np.array([7, 900, 7])
    recorder.wrap(cast("Any", Session())).run({"ring": block, "rows": rows}, ())
    (kept,) = recorder.samples()
    assert seen == [(1000, 2)] and kept["ring"].shape == (2, 2)
    np.testing.assert_array_equal(kept["ring"][kept["rows"]], block[rows])
