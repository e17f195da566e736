"""Speak the recordings that `make demo` transcribes, with flite and espeak-ng.

Example:
    python tools/make_demo_recordings.py --out export/demo/recordings
"""

import argparse
import random
from pathlib import Path

import numpy as np
import soundfile
import soxr
from demo_voices import SAMPLE_RATE, Samples, run_program, spoken_text, trimmed

_RECORDINGS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("digits", "flite-rms", ("three one four one five nine two six five", "zero two seven eight")),
    ("name", "flite-slt", ("p y t h o n", "s t r e a m")),
    ("date", "flite-slt", ("december thirty first nineteen eighty nine", "enter fifty one")),
    ("commands", "espeak-en-us", ("left", "right", "stop", "repeat", "erase q r s", "enter fifty one")),
    (
        "dictation",
        "flite-rms",
        (
            "start",
            "j o h n s o n",
            "five seven two one m a p l e",
            "p i t t s b u r g h",
            "one five two one three",
            "december thirty first nineteen eighty nine",
            "rubout n f e i twenty six",
            "enter seven hundred and twelve",
            "help",
            "yes",
            "stop",
        ),
    ),
)
"""Name, voice and sentences of each recording."""
_PAUSE_SECONDS = 0.45


def _speak(sentence: str, voice: str) -> Samples:
    engine, name = voice.split("-", 1)
    if engine == "flite":
        text = spoken_text(sentence, random.Random(0), "ay")
        samples, rate = run_program(["flite", "-voice", name, "--setf", "duration_stretch=1.1", "-t", text, "-o"])
    else:
        text = spoken_text(sentence, random.Random(0), "[[eI]]")
        samples, rate = run_program(["espeak-ng", "-v", name, "-s", "140", text, "-w"])
    resampled = trimmed(soxr.resample(samples, rate, SAMPLE_RATE))
    return np.asarray(resampled * (0.3 / np.abs(resampled).max()), dtype=np.float32)


def record(out: Path) -> None:
    """Write the recordings as FLAC, and their manifest, to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    pause = np.zeros(int(_PAUSE_SECONDS * SAMPLE_RATE), dtype=np.float32)
    lines = ["path\tduration_s\tspeaker\ttranscript"]
    for name, voice, sentences in _RECORDINGS:
        parts = [pause, *(part for sentence in sentences for part in (_speak(sentence, voice), pause))]
        samples = np.concatenate(parts)
        soundfile.write(out / f"{name}.flac", samples, SAMPLE_RATE, subtype="PCM_16")
        lines.append(f"{name}.flac\t{samples.size / SAMPLE_RATE:.3f}\t{voice}\t{' '.join(sentences)}")
    (out / "manifest.tsv").write_text("\n".join(lines) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    record(parser.parse_args().out)


if __name__ == "__main__":
    main()
