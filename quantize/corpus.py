"""Audio to calibrate and to evaluate with: a manifest, a folder, or the recordings bundled with the demo."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.sound_files import read_resampled
from emf.runtime.errors import AudioError
from emf.runtime.speech.utterances import Utterance, read_speech_manifest, sound_files

SILENCE_PEAK = 1e-3


def read_corpus(path: Path | None, transcripts: bool = False) -> Sequence[Utterance]:
    """The utterances that a command was pointed to.

    Args:
        path: a `manifest.tsv`, or a folder that holds one or holds sound files; `None` takes the
            recordings bundled with the demo model.
        transcripts: whether every utterance must have one.

    Raises:
        AudioError: there is no audio, or the manifest lacks a column or a transcript.
    """
    path = demo_manifest() if path is None else path
    if path.is_dir() and (transcripts or (path / "manifest.tsv").is_file()):
        path /= "manifest.tsv"
    if not path.is_dir():
        utterances = read_speech_manifest(path, transcripts)
        silent = [utterance.path.name for utterance in utterances if not (utterance.transcript or "").strip()]
        if transcripts and silent:
            raise AudioError(f"{path}: expected a transcript of every recording, {silent[0]} has none; add it")
        return utterances
    return [Utterance(file, None, "") for file in sound_files(path)]


def demo_manifest() -> Path:
    """The manifest of the recordings bundled with the demo model.

    Raises:
        AudioError: they are not installed.
    """
    try:
        manifest = Path(str(resources.files("emf.export.demo"))) / "recordings" / "manifest.tsv"
    except ModuleNotFoundError:
        manifest = Path("manifest.tsv")
    if not manifest.is_file():
        raise AudioError("the demo's recordings are not installed; name a manifest.tsv or a folder of sound files")
    return manifest


def load_samples(utterance: Utterance, sample_rate: int) -> FloatArray:
    """Mono samples of an utterance at `sample_rate`."""
    return read_resampled(utterance.path, sample_rate)


def require_speech(peak: float, where: str) -> None:
    """Refuse audio in which there is nothing to hear: at no time louder than -60 dB of full scale.

    Raises:
        AudioError: it is all silence.
    """
    if peak < SILENCE_PEAK:
        raise AudioError(f"{where}: expected speech, found silence (peak {peak:.1e} of full scale); name other audio")
