"""Text-to-speech engines for the demo domain: espeak-ng, flite, festival, Piper and Kokoro.

`espeak` has many speaker variants; `flite` and `festival` are the programs of these names; `piper` is one Piper VITS
voice as ONNX; `kokoro` is Kokoro-82M as ONNX, where most sentences get a blend of two of its voices.
"""

import json
import random
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

SAMPLE_RATE = 16000
Samples = npt.NDArray[np.float32]
Speak = Callable[[str, random.Random], tuple[Samples, int, str]]
"""(transcript, rng) -> samples in [-1, 1], their rate, and the name of the voice."""

_ACCENTS = ("en-us", "en-us", "en-us", "en-us-nyc", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029")
_FLITE_VOICES = ("awb", "rms", "slt", "kal16")
_FESTIVAL_VOICES = ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")
_SPELLING = {"z": "zee", "rubout": "rub out"}


def spoken_text(transcript: str, rng: random.Random, letter_a: str) -> str:
    """Text for a synthesiser: letters that it would misread respelled, commas between some letters.

    Args:
        transcript: words and single letters.
        rng: decides how often a pause is asked for.
        letter_a: what makes this engine say the letter "a" and not the article.
    """
    pause = rng.choice((0.0, 0.0, 0.3, 1.0))
    spoken = []
    for word in transcript.split():
        text = letter_a if word == "a" else _SPELLING.get(word, word)
        spoken.append(text + ("," if len(word) == 1 and rng.random() < pause else ""))
    return " ".join(spoken).rstrip(",")


def run_program(command: list[str], text: str | None = None) -> tuple[Samples, int]:
    """Run a program whose last argument is to be the WAV file it writes; read that file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run([*command, str(path)], input=text, text=True, check=True, capture_output=True)
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(axis=1), rate


def espeak() -> Speak:
    """espeak-ng: every speaker variant in several accents, at random pitch and speed."""
    listing = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True).stdout
    variants = [
        Path(line.split()[4]).name for line in listing.splitlines()[1:] if "!v/" in line and "whisper" not in line
    ]

    def speak(transcript: str, rng: random.Random) -> tuple[Samples, int, str]:
        voice = f"{rng.choice(_ACCENTS)}+{rng.choice(variants)}"
        pitch, speed = rng.randint(20, 80), rng.randint(120, 210)
        text = spoken_text(transcript, rng, "[[eI]]")
        return *run_program(["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), text, "-w"]), voice

    return speak


def flite() -> Speak:
    """flite: its four full voices at random pitch and duration."""

    def speak(transcript: str, rng: random.Random) -> tuple[Samples, int, str]:
        voice = rng.choice(_FLITE_VOICES)
        stretch = f"duration_stretch={rng.uniform(0.8, 1.2):.2f}"
        text = spoken_text(transcript, rng, "ay")
        return *run_program(["flite", "-voice", voice, "--setf", stretch, "-t", text, "-o"]), f"flite-{voice}"

    return speak


def festival() -> Speak:
    """festival: two diphone voices and an HTS voice."""

    def speak(transcript: str, rng: random.Random) -> tuple[Samples, int, str]:
        voice = rng.choice(_FESTIVAL_VOICES)
        settings = f"(begin (voice_{voice}) (Parameter.set 'Duration_Stretch {rng.uniform(0.8, 1.2):.2f}))"
        text = spoken_text(transcript, rng, "ay")
        return *run_program(["text2wave", "-eval", settings, "-o"], text), f"festival-{voice}"

    return speak


def _ipa(text: str) -> str:
    """Phonemes of American English by espeak-ng, as Piper and Kokoro read them."""
    command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", text]
    return " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def piper(model: Path) -> Speak:
    """One Piper voice: `model` is its ONNX file, its configuration lies beside it with `.json` appended."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, _one_thread())
    config = json.loads(model.with_name(model.name + ".json").read_text())
    ids: dict[str, list[int]] = config["phoneme_id_map"]

    def speak(transcript: str, rng: random.Random) -> tuple[Samples, int, str]:
        tokens = list(ids["^"]) + list(ids["_"])
        for phoneme in _ipa(spoken_text(transcript, rng, "[[eI]]")):
            tokens += [*ids.get(phoneme, []), *ids["_"]]
        tokens += ids["$"]
        scales = np.array([rng.uniform(0.5, 0.9), rng.uniform(0.8, 1.2), 0.8], dtype=np.float32)
        inputs = {"input": np.array([tokens]), "input_lengths": np.array([len(tokens)]), "scales": scales}
        return session.run(None, inputs)[0].ravel(), config["audio"]["sample_rate"], f"piper-{model.stem}"

    return speak


def kokoro(model: Path, voices: Path, vocabulary: Path) -> Speak:
    """Kokoro-82M: `voices` holds one file of style vectors a voice, `vocabulary` its phoneme ids as JSON."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, _one_thread())
    styles = {path.stem: np.fromfile(path, np.float32).reshape(-1, 1, 256) for path in sorted(voices.glob("*.bin"))}
    english = [name for name in styles if name[0] in "ab"]
    ids: dict[str, int] = json.loads(vocabulary.read_text())["vocab"]

    def speak(transcript: str, rng: random.Random) -> tuple[Samples, int, str]:
        tokens = [ids[symbol] for symbol in _ipa(spoken_text(transcript, rng, "[[eI]]")) if symbol in ids]
        first, second, share = rng.choice(english), rng.choice(sorted(styles)), rng.choice((0.0, 0.3, 0.4, 0.5))
        style = (1 - share) * styles[first][len(tokens)] + share * styles[second][len(tokens)]
        speed = np.array([rng.uniform(0.9, 1.4)], dtype=np.float32)
        inputs = {"tokens": np.array([[0, *tokens, 0]]), "style": style.astype(np.float32), "speed": speed}
        name = f"kokoro-{first}" + (f"-{second}" if share else "")
        return session.run(None, inputs)[0].ravel(), 24000, name

    return speak


def _one_thread() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def trimmed(samples: Samples, threshold: float = 0.01, margin: int = 800) -> Samples:
    """Cut silence at both ends: what lies below `threshold` of the peak, but for `margin` samples."""
    loud = np.flatnonzero(np.abs(samples) > threshold * np.abs(samples).max())
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]
