"""Speak sentences of the demo domain with text-to-speech voices, to train on.

Example:
    python tools/speak_demo.py --engine espeak --words data/librispeech_train/manifest.tsv --count 1500 --out espeak

Writes FLAC files of 16 kHz and a `manifest.tsv` (path, duration_s, speaker, transcript).
"""

import argparse
import logging
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from demo_sentences import sentence, single_word, words_to_spell
from demo_voices import SAMPLE_RATE, Speak, espeak, festival, flite, kokoro, piper, trimmed

_LOGGER = logging.getLogger("speak_demo")


Compose = Callable[[random.Random], str]
"""Draws what is said next."""


def synthesise(speak: Speak, compose: Compose, count: int, seed: int, out: Path) -> None:
    """Write `count` spoken sentences and their manifest to `out`; the manifest grows with every sentence."""
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    with (out / "manifest.tsv").open("w") as manifest:
        manifest.write("path\tduration_s\tspeaker\ttranscript\n")
        for index in range(count):
            transcript = compose(rng)
            samples, rate, voice = speak(transcript, rng)
            if np.abs(samples).max(initial=0) < 1e-3:
                _LOGGER.warning("%s says nothing for %r", voice, transcript)
                continue
            samples = trimmed(soxr.resample(samples, rate, SAMPLE_RATE))
            path = out / f"{seed:04d}-{index:05d}.flac"
            soundfile.write(path, samples * (0.5 / np.abs(samples).max()), SAMPLE_RATE)
            manifest.write(f"{path.name}\t{samples.size / SAMPLE_RATE:.3f}\t{voice}\t{transcript}\n")
            manifest.flush()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", required=True, choices=("espeak", "flite", "festival", "piper", "kokoro"))
    parser.add_argument("--words", required=True, type=Path, help="manifest whose words are spelled")
    parser.add_argument("--single-words", action="store_true", help="one digit or command word each, no sentences")
    parser.add_argument("--count", required=True, type=int, help="number of sentences")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--model", type=Path, help="ONNX file (piper, kokoro)")
    parser.add_argument("--voices", type=Path, help="folder of style vectors (kokoro)")
    parser.add_argument("--vocabulary", type=Path, help="phoneme ids as JSON (kokoro)")
    options = parser.parse_args()
    engines: dict[str, Callable[[], Speak]] = {
        "espeak": espeak,
        "flite": flite,
        "festival": festival,
        "piper": lambda: piper(options.model),
        "kokoro": lambda: kokoro(options.model, options.voices, options.vocabulary),
    }
    words = words_to_spell(options.words)
    compose: Compose = single_word if options.single_words else lambda rng: sentence(rng, words)
    synthesise(engines[options.engine](), compose, options.count, options.seed, options.out)


if __name__ == "__main__":
    main()
