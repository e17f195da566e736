"""Recordings as mono audio at the model's rate, up to a length in all."""

from collections.abc import Sequence
from pathlib import Path

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.sound_files import read_resampled
from emf.runtime.errors import AudioError
from emf.runtime.speech.utterances import gather_utterances


def read_recordings(paths: Sequence[Path], sample_rate: int, max_seconds: float) -> list[FloatArray]:
    """The recordings in their order; the last one is cut off where all together have `max_seconds`.

    Args:
        paths: sound files, and manifests that list them.
        sample_rate: the model's, in Hz.
        max_seconds: audio at the most.

    Raises:
        AudioError: a file is no audio, or all are empty.
    """
    recordings: list[FloatArray] = []
    left = round(max_seconds * sample_rate)
    for utterance in gather_utterances(list(paths)):
        if left <= 0:
            break
        samples = read_resampled(utterance.path, sample_rate, left)
        if len(samples):
            recordings.append(samples)
            left -= len(samples)
    if not recordings:
        raise AudioError("expected recordings with audio in them, found none; name other sound files")
    return recordings
