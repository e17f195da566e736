"""Audio for the check: files of the user's, or the demo's recordings, brought to the wanted length."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.sound_files import read_resampled
from emf.runtime.speech.recordings import read_recordings
from emf.runtime.speech.utterances import Utterance, gather_utterances

_DITHER = 2.0**-15


def demo_files() -> list[Path]:
    """The recordings bundled with the demo model."""
    return sorted(path for path in demo_manifest().parent.glob("*") if path.suffix in {".flac", ".wav"})


def demo_manifest() -> Path:
    """Their transcripts."""
    return Path(str(resources.files("emf.export.demo"))) / "recordings" / "manifest.tsv"


def transcribed(files: Sequence[Path], sample_rate: int, seconds: float) -> tuple[Utterance, ...]:
    """The recordings with a transcript, of those that `gather_audio` takes; whole, the last one too."""
    known: list[Utterance] = []
    left = seconds
    for utterance in gather_utterances(list(files)):
        if left <= 0:
            break
        left -= len(read_resampled(utterance.path, sample_rate)) / sample_rate
        if utterance.transcript:
            known.append(utterance)
    return tuple(known)


def gather_audio(files: Sequence[Path], sample_rate: int, seconds: float) -> FloatArray:
    """Mono audio at `sample_rate`, at least `seconds` long: the files one after another, again if need be.

    It is dithered as a 16-bit recording is: in digital silence all frames are the same, so that a token has the same
    probability at each of them, and which alignments of it stay in a beam is up to the rounding of the last bit.

    Raises:
        AudioError: a file is not audio, or there is none at all.
    """
    wanted = int(np.ceil(seconds * sample_rate))
    samples = np.concatenate(read_recordings(files, sample_rate, seconds))
    repeated = np.tile(samples, -(-wanted // len(samples)))[:wanted]
    dither = np.random.default_rng(0).triangular(-_DITHER, 0.0, _DITHER, len(repeated))
    return np.asarray(repeated + dither, dtype=np.float32)
