"""Audio for the check: files of the user's, or the demo's recordings, brought to the wanted length."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.speech.recordings import read_recordings

_DITHER = 2.0**-15


def demo_files() -> list[Path]:
    """The recordings bundled with the demo model."""
    folder = Path(str(resources.files("emf.export.demo"))) / "recordings"
    return sorted(path for path in folder.glob("*") if path.suffix in {".flac", ".wav"})


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
