"""The speech that the demo model learns from and is measured on: loading, and the split by speaker."""

import hashlib
import random
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from demo_sentences import SPOKEN_ALONE

SAMPLE_RATE = 16000
AN4_DEV_SPEAKERS = frozenset(("fclc", "ffmm", "fmjc", "mblb", "mgah", "mjes", "mnjl", "mtcv"))
FSDD_DEV_SPEAKER = "jackson"
COMMAND_DEV_SHARE = 10
"""One Speech Commands speaker in this many is held out."""
_CUT_MARGIN = 640


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording.

    Attributes:
        samples: 16-bit mono samples at `SAMPLE_RATE`.
        transcript: lower-case words.
        speaker: who speaks, unique within its corpus.
        spans: first and last sample of each word, where they are known.
    """

    samples: npt.NDArray[np.int16]
    transcript: str
    speaker: str
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """A corpus, its training speakers apart from the held-out ones."""

    train: list[Utterance]
    dev: list[Utterance]


def _read(path: Path) -> npt.NDArray[np.int16]:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    return np.asarray(mono.clip(-1.0, 1.0) * 32767.0, dtype=np.int16)


def _alignments(path: Path) -> dict[str, tuple[tuple[int, int], ...]]:
    """Spans of the words of each recording, as `align_demo.py` writes them; none where there is no such file."""
    if not path.exists():
        return {}
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    spans = {row[0]: [word.split(":")[1:] for word in row[1:]] for row in rows}
    return {name: tuple((int(start), int(end)) for start, end in words) for name, words in spans.items()}


def load_folder(folder: Path, alignments: Path | None = None) -> list[Utterance]:
    """Every recording of a folder, in the order of its `manifest.tsv`.

    Args:
        folder: with a manifest.
        alignments: folder where `align_demo.py` has written `FOLDER.tsv`.
    """
    spans = _alignments(alignments / f"{folder.name}.tsv") if alignments else {}
    rows = [line.split("\t") for line in (folder / "manifest.tsv").read_text().splitlines()[1:]]
    with ThreadPoolExecutor() as pool:
        waveforms = pool.map(_read, (folder / row[0] for row in rows))
        return [
            Utterance(samples, row[3], row[2], spans.get(row[0], ()))
            for samples, row in zip(waveforms, rows, strict=True)
        ]


def _held_out_command_speaker(speaker: str) -> bool:
    return hashlib.sha256(speaker.encode()).digest()[0] % COMMAND_DEV_SHARE == 0


def load_corpora(data: Path, speech: Sequence[Path] = (), alignments: Path | None = None) -> dict[str, Split]:
    """Load everything under `data` that its README lists for training, and folders of synthesised speech.

    Args:
        data: folder that holds `an4`, `fsdd`, `speech_commands`, `speech_commands_yesno` and `librispeech_train`.
        speech: folders written by `speak_demo.py`, used for training only; where the name says `words`,
            only the single words that the held-out corpora have too: others ("erase") would be heard in their place.
        alignments: see `load_folder`.

    Returns:
        `an4`, `digits`, `commands`, `books`, `cut_words`, `voices` and `voice_words`.
    """
    sentences, words = ([f for f in speech if ("words" in f.name) == single] for single in (False, True))
    held_out = load_held_out(data, alignments)
    books = load_folder(data / "librispeech_train", alignments)
    single = [utterance for folder in words for utterance in load_folder(folder, alignments)]
    return held_out | {
        "books": Split(books, []),
        "cut_words": Split(cut_words([*held_out["an4"].train, *books], SPOKEN_ALONE), []),
        "voices": Split([utterance for folder in sentences for utterance in load_folder(folder, alignments)], []),
        "voice_words": Split([utterance for utterance in single if utterance.transcript in SPOKEN_ALONE], []),
    }


def cut_words(utterances: Iterable[Utterance], words: Iterable[str]) -> list[Utterance]:
    """Single words cut out of aligned recordings: real voices for what isolated recordings have too few of.

    Args:
        utterances: those without alignments give nothing.
        words: which to cut out; a margin of 40 ms stays on both sides.
    """
    wanted = frozenset(words)
    return [
        Utterance(utterance.samples[max(0, start - _CUT_MARGIN) : end + _CUT_MARGIN], word, utterance.speaker)
        for utterance in utterances
        if utterance.spans
        for word, (start, end) in zip(utterance.transcript.split(), utterance.spans, strict=True)
        if word in wanted
    ]


def load_held_out(data: Path, alignments: Path | None = None) -> dict[str, Split]:
    """Load the corpora that have held-out speakers: `an4`, `digits` and `commands`."""
    names = ("an4", "fsdd", "speech_commands", "speech_commands_yesno")
    an4, digits, words, answers = (load_folder(data / name, alignments) for name in names)
    commands = words + answers
    return {
        "an4": _split(an4, AN4_DEV_SPEAKERS),
        "digits": _split(digits, {FSDD_DEV_SPEAKER}),
        "commands": _split(commands, {item.speaker for item in commands if _held_out_command_speaker(item.speaker)}),
    }


def _split(utterances: list[Utterance], held_out: Iterable[str]) -> Split:
    speakers = frozenset(held_out)
    return Split(
        train=[item for item in utterances if item.speaker not in speakers],
        dev=[item for item in utterances if item.speaker in speakers],
    )


def connected(utterances: list[Utterance], count: int, seed: int) -> list[Utterance]:
    """Strings of 3 to 7 single-word recordings of one speaker, 50 to 400 ms of digital silence between them."""
    rng = random.Random(seed)
    strings = []
    for _ in range(count):
        words = rng.choices(utterances, k=rng.randint(3, 7))
        parts = [part for word in words for part in (word.samples, np.zeros(rng.randint(800, 6400), np.int16))]
        strings.append(Utterance(np.concatenate(parts[:-1]), " ".join(w.transcript for w in words), words[0].speaker))
    return strings


def dev_sets(corpora: dict[str, Split]) -> dict[str, list[Utterance]]:
    """The held-out sets that are reported: AN4 utterances, connected digits, single command words."""
    return {
        "an4": corpora["an4"].dev,
        "digits": connected(corpora["digits"].dev, 100, seed=0),
        "commands": corpora["commands"].dev,
    }
