"""Speech to convert with, and other speech to measure with: from a manifest, a folder, or the demo's recordings."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from emf.export.convert.rolling import feature_windows
from emf.export.model import SourceModel
from emf.runtime.audio.sound_files import read_resampled
from emf.runtime.errors import AudioError
from emf.runtime.speech.utterances import Utterance, read_speech_manifest

_LOGGER = logging.getLogger(__name__)

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au")
_SILENCE_PEAK = 1e-3
_MEASURED_SHARE = 5
"""One utterance in so many is measured on, and not converted with."""
_FEWEST_UTTERANCES = 10
_FEWEST_SPEAKERS = 5
_MOST_MEASURED_SECONDS = 300.0


@dataclass(frozen=True)
class Speech:
    """What was chosen of the speech given.

    Attributes:
        calibration: to convert with.
        measured: to compare the converted model with the original on.
        held_out: whether `measured` is none of `calibration`: `speakers`, `utterances`, or empty if it is the same.
        seconds: of `calibration`.
    """

    calibration: tuple[Utterance, ...]
    measured: tuple[Utterance, ...]
    held_out: str
    seconds: float


def read_speech(path: Path | None, sample_rate: int, max_seconds: float, seed: int = 0) -> Speech:
    """Choose from a `manifest.tsv`, a folder that holds one or sound files, or the demo's recordings.

    A fifth is measured on and not converted with: other speakers' where there are some, else other utterances, else,
    of few, the same.

    Raises:
        AudioError: there is no audio, or it is silence.
    """
    if path is None:
        _LOGGER.warning(
            "the smaller model is found and measured on a minute of synthetic voices, the demo's recordings; name "
            "speech of your own domain as --calibration"
        )
        path = Path(str(resources.files("emf.export.demo"))) / "recordings"
    utterances = _utterances(path)
    random = np.random.default_rng(seed)
    shuffled = [utterances[index] for index in random.permutation(len(utterances))]
    rest, measured, held_out = _split(shuffled)
    calibration, seconds = _within(rest, sample_rate, max_seconds, str(path))
    if held_out:
        measured, _ = _within(measured, sample_rate, _MOST_MEASURED_SECONDS, str(path))
    else:
        measured = calibration
    return Speech(tuple(calibration), tuple(measured), held_out, seconds)


def windows_of(source: SourceModel, utterances: Sequence[Utterance]) -> list[Callable[[], torch.Tensor]]:
    """The features of each utterance's steps, computed when they are asked for."""
    rate = source.frontend.sample_rate
    return [partial(_windows, source, utterance, rate) for utterance in utterances]


def _windows(source: SourceModel, utterance: Utterance, rate: int) -> torch.Tensor:
    return feature_windows(source, read_resampled(utterance.path, rate))


def _utterances(path: Path) -> list[Utterance]:
    if path.is_dir() and (path / "manifest.tsv").is_file():
        path /= "manifest.tsv"
    if not path.is_dir():
        return read_speech_manifest(path, need_transcripts=False)
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise AudioError(f"{path}: expected sound files, found none; name a manifest.tsv or a folder that holds speech")
    return [Utterance(file, None, "") for file in files]


def _split(utterances: list[Utterance]) -> tuple[list[Utterance], list[Utterance], str]:
    """Utterances to convert with, others to measure with, and what tells them apart."""
    wanted = len(utterances) // _MEASURED_SHARE
    if len(utterances) < _FEWEST_UTTERANCES:
        return utterances, utterances, ""
    by_speaker: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        by_speaker[utterance.speaker].append(utterance)
    if len(by_speaker) < _FEWEST_SPEAKERS or "" in by_speaker:
        return utterances[wanted:], utterances[:wanted], "utterances"
    chosen: list[str] = []
    for speaker, own in list(by_speaker.items())[:-1]:
        if sum(len(by_speaker[one]) for one in chosen) + len(own) <= wanted or not chosen:
            chosen.append(speaker)
    measured = [utterance for utterance in utterances if utterance.speaker in chosen]
    return [utterance for utterance in utterances if utterance.speaker not in chosen], measured, "speakers"


def _within(
    utterances: Sequence[Utterance], sample_rate: int, max_seconds: float, where: str
) -> tuple[list[Utterance], float]:
    """Whole utterances until there is enough audio; how long they are.

    Raises:
        AudioError: they are all silence, at no time louder than -60 dB of full scale.
    """
    chosen, seconds, peak = [], 0.0, 0.0
    for utterance in utterances:
        if seconds >= max_seconds:
            break
        samples = read_resampled(utterance.path, sample_rate)
        seconds += len(samples) / sample_rate
        peak = max(peak, float(np.max(np.abs(samples), initial=0.0)))
        chosen.append(utterance)
    if peak < _SILENCE_PEAK:
        raise AudioError(f"{where}: expected speech, found silence (peak {peak:.1e} of full scale); name other audio")
    return chosen, seconds
