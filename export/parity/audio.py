"""Audio for the check: files of the user's, or the demo's recordings, brought to the wanted length."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.resampler import Resampler
from emf.runtime.audio.sound_files import read_blocks
from emf.runtime.errors import AudioError

_DITHER = 2.0**-15


def demo_recordings() -> list[Path]:
    """The recordings bundled with the demo model."""
    folder = Path(str(resources.files("emf.export.demo"))) / "recordings"
    return sorted(path for path in folder.glob("*") if path.suffix in {".flac", ".wav"})


def read_recordings(files: Sequence[Path], sample_rate: int, seconds: float) -> list[FloatArray]:
    """The first of the files, mono at `sample_rate`, until there are `seconds`; the last is cut off there."""
    recordings: list[FloatArray] = []
    missing = int(np.ceil(seconds * sample_rate))
    for file in files:
        if missing <= 0:
            break
        recordings.append(read_resampled(file, sample_rate, missing)[:missing])
        missing -= len(recordings[-1])
    return recordings


def gather_audio(files: Sequence[Path], sample_rate: int, seconds: float) -> FloatArray:
    """Mono audio at `sample_rate`, at least `seconds` long: the files one after another, again if need be.

    It is dithered as a 16-bit recording is: in digital silence all frames are the same, so that a token has the same
    probability at each of them, and which alignments of it stay in a beam is up to the rounding of the last bit.

    Raises:
        AudioError: a file is not audio, or there is none at all.
    """
    wanted = int(np.ceil(seconds * sample_rate))
    pieces = read_recordings(files, sample_rate, seconds)
    total = sum(map(len, pieces))
    if not total:
        raise AudioError("expected audio for the check, found none; pass sound files with --verify-audio")
    samples = np.concatenate(pieces)
    repeated = np.tile(samples, -(-wanted // total))[:wanted]
    dither = np.random.default_rng(0).triangular(-_DITHER, 0.0, _DITHER, len(repeated))
    return np.asarray(repeated + dither, dtype=np.float32)


def read_resampled(file: Path, sample_rate: int, wanted: int) -> FloatArray:
    """A sound file as mono audio at `sample_rate`, read until at least `wanted` samples have come."""
    pieces: list[FloatArray] = []
    resampler = None
    for rate, block in read_blocks(file):
        resampler = resampler or Resampler(rate, sample_rate)
        pieces.append(resampler(block))
        if sum(map(len, pieces)) >= wanted:
            break
    if resampler is not None:
        pieces.append(resampler(np.zeros(0, np.float32), last=True))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
