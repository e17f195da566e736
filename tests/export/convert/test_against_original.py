"""What the conversion is measured on and by: held-out speech, the words of both models, the bound."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emf.export.convert.conversion import ConversionOptions, convert
from emf.export.convert.drift import Drift, measure_drift, require_words
from emf.export.convert.rolling import encode, encoder_of, feature_windows
from emf.export.convert.speech import Speech, read_speech, windows_of
from emf.export.convert.torch_model import TorchModel, decode
from emf.export.parity.word_drift import WordDrift
from emf.runtime.errors import AudioError, ToleranceError
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import advance
from tests import oracle
from tests.signals import SAMPLE_RATE, speech_like

NAME = "like-base"


def corpus(folder: Path, speakers: int, each: int, seconds: float = 1.5) -> Path:
    rows = ["path\tspeaker\ttranscript"]
    for index in range(speakers * each):
        soundfile.write(folder / f"{index}.wav", speech_like(seconds + 0.1 * index, index), SAMPLE_RATE)
        rows.append(f"{index}.wav\tspeaker-{index % speakers}\tan e")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("speakers", "each", "by"), [(6, 2, "speakers"), (2, 6, "utterances"), (3, 1, "")])
def test_what_is_measured_on_is_not_converted_with(tmp_path: Path, speakers: int, each: int, by: str) -> None:
    found = read_speech(corpus(tmp_path, speakers, each), SAMPLE_RATE, 600.0)
    assert found.held_out == by
    both = {u.path for u in found.calibration} & {u.path for u in found.measured}
    assert bool(both) == (by == "")
    if by:
        assert len(found.calibration) + len(found.measured) == speakers * each and len(found.measured) == 2
    if by == "speakers":
        assert not {u.speaker for u in found.calibration} & {u.speaker for u in found.measured}
    assert read_speech(tmp_path, SAMPLE_RATE, 600.0) == found
    assert read_speech(tmp_path, SAMPLE_RATE, 2.0, seed=1).seconds < 6.0


def test_silence_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="found none"):
        read_speech(tmp_path, SAMPLE_RATE, 600.0)
    soundfile.write(tmp_path / "nothing.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    with pytest.raises(AudioError, match="silence"):
        read_speech(tmp_path, SAMPLE_RATE, 600.0)


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_recordings_together_have_the_tokens_that_torchaudio_gives_each(method: str) -> None:
    model, options = oracle.source(NAME), SearchOptions(decoding_method=method, beam_width=4)
    steps = [feature_windows(model, speech_like(1.0 + 0.4 * seed, seed)) for seed in range(5)]
    frames = model.geometry.frames_per_step
    found = decode(TorchModel(model), [encode(encoder_of(model), one).numpy() for one in steps], frames, options)
    torchaudio = oracle.TorchModel(model.rnnt, model.geometry.num_symbols - 1)
    for one, tokens in zip(steps, found, strict=True):
        state = torchaudio.start()
        for chunk in encode(encoder_of(model), one).numpy().reshape(-1, frames, model.geometry.encoding_dim):
            (state,) = advance(chunk[None], [state], torchaudio, options)
        assert tokens == list(state.hypotheses[0].emissions.tokens)
    assert sum(map(len, found)) > 15


def test_the_distance_grows_with_what_is_given_up(tmp_path: Path) -> None:
    model, speech = oracle.source(NAME), read_speech(corpus(tmp_path, 2, 5), SAMPLE_RATE, 600.0)
    recordings = windows_of(model, speech.calibration)
    drifts = [
        measure_drift(model, convert(model, ConversionOptions(rank), recordings)[0], speech) for rank in (32, 12, 2)
    ]
    snrs = [drift.encoder_snr_db or 999.0 for drift in drifts]
    assert snrs[0] > 80.0 > snrs[1] > snrs[2] > 0.0
    assert drifts[0].searches["beam"].words_changed == 0 == drifts[0].searches["greedy"].tokens_changed
    assert drifts[2].searches["greedy"].words_changed > 0 < drifts[2].searches["greedy"].words
    assert drifts[0].searches["beam"].wer == drifts[0].searches["beam"].wer_converted
    silent = Speech((), tuple(replace(u, transcript=None) for u in speech.measured), "", 0.0)
    assert measure_drift(model, model, silent).searches["beam"].wer is None


def test_the_bound() -> None:
    def drift(converted: float | None) -> Drift:
        return Drift(5, "speakers", 20.0, {"beam": WordDrift(100, 3, 2, None if converted is None else 0.1, converted)})

    require_words(drift(0.104), 0.005)
    require_words(drift(None), 0.0)
    with pytest.raises(ToleranceError, match=r"10\.60 % instead of 10\.00 %"):
        require_words(drift(0.106), 0.005)
