"""Write the held-out speech as files, with what biasing and language models need: the documentation's figures use them.

Example:
    python tools/write_held_out.py --data data --out held_out

Writes FLAC files and manifests: `all.tsv`; its parts `an4.tsv`, `digits.tsv` and `commands.tsv`; of AN4 the recordings
that spell a name, `names.tsv`, and the others, `others.tsv`; `names.txt`, the names as phrases with a score of 3; and
two language models in ARPA form, `an4.arpa` (bigrams of the training part's transcripts) and `digits.arpa` (the ten
digits and nothing else). `--calibration` writes recordings of the training speakers to another folder: speech for
`emf-export --calibration` and `emf-quantize --calibration` that none of the figures is measured on.
"""

import argparse
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import soundfile
from demo_corpus import SAMPLE_RATE, Split, Utterance, dev_sets, load_held_out
from demo_sentences import DIGITS

_CALIBRATION = {"an4": 300, "digits": 200, "commands": 200}
_PHRASE_SCORE = 3.0
_DISCOUNT = 0.5
_NEVER = -99.0
"""What ARPA files write for a probability of zero."""


def spells_a_name(transcript: str) -> bool:
    """Whether it is letters only, three or more."""
    words = transcript.split()
    return len(words) >= 3 and all(len(word) == 1 for word in words)


def write_manifest(path: Path, rows: Iterable[tuple[str, Utterance]]) -> None:
    """A manifest of recordings that lie beside it."""
    lines = ["path\tduration_s\tspeaker\ttranscript"]
    lines += [f"{name}\t{u.samples.size / SAMPLE_RATE:.3f}\t{u.speaker}\t{u.transcript}" for name, u in rows]
    path.write_text("\n".join(lines) + "\n")


def write_calibration(corpora: dict[str, Split], out: Path) -> None:
    """Recordings of training speakers and their manifest."""
    out.mkdir(parents=True, exist_ok=True)
    rows, chosen = [], random.Random(0)
    for name, count in _CALIBRATION.items():
        for index, utterance in enumerate(chosen.sample(corpora[name].train, count)):
            rows.append((f"{name}-{index:04d}.flac", utterance))
            soundfile.write(out / rows[-1][0], utterance.samples, SAMPLE_RATE)
    write_manifest(out / "manifest.tsv", rows)


def unigrams(words: Iterable[str]) -> str:
    """A model in ARPA form in which each of these words is as likely as the others, and no other word is."""
    listed = sorted(set(words))
    entries = "".join(f"{-math.log10(len(listed)):.4f}\t{word}\n" for word in listed)
    return (
        f"\\data\\\nngram 1={len(listed) + 3}\n\n\\1-grams:\n{_NEVER}\t<s>\n{_NEVER}\t</s>\n{_NEVER}\t<unk>\n"
        f"{entries}\n\\end\\\n"
    )


def bigrams(texts: Iterable[str]) -> str:
    """A bigram model in ARPA form: absolute discounting of 0.5, backing off to unigrams with one count for `<unk>`."""
    pairs: dict[str, Counter[str]] = defaultdict(Counter)
    single = Counter({"<unk>": 1})
    for text in texts:
        words = ["<s>", *text.split(), "</s>"]
        single.update(words[1:])
        for before, word in pairwise(words):
            pairs[before][word] += 1
    total = sum(single.values())
    probability = {word: count / total for word, count in single.items()}
    lines = [f"{_NEVER}\t<s>\t{_backoff(pairs['<s>'], probability):.4f}"]
    lines += [f"{math.log10(p):.4f}\t{w}\t{_backoff(pairs[w], probability):.4f}" for w, p in probability.items()]
    second = [
        f"{math.log10((count - _DISCOUNT) / sum(after.values())):.4f}\t{before} {word}"
        for before, after in pairs.items()
        for word, count in after.items()
    ]
    head = f"\\data\\\nngram 1={len(lines)}\nngram 2={len(second)}\n"
    return "\n".join([head, "\\1-grams:", *lines, "", "\\2-grams:", *second, "", "\\end\\", ""])


def _backoff(after: Counter[str], probability: dict[str, float]) -> float:
    """Logarithm of what scales the unigrams of the words never seen behind this one."""
    if not after:
        return 0.0
    left = _DISCOUNT * len(after) / sum(after.values())
    return math.log10(left / (1.0 - sum(probability[word] for word in after)))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder of the corpora")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--calibration", type=Path, help="folder for recordings of training speakers")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    corpora = load_held_out(options.data)
    if options.calibration:
        write_calibration(corpora, options.calibration)
    sets = {
        name: [(f"{name}-{index:04d}.flac", utterance) for index, utterance in enumerate(utterances)]
        for name, utterances in dev_sets(corpora).items()
    }
    for name, rows in sets.items():
        for file, utterance in rows:
            soundfile.write(options.out / file, utterance.samples, SAMPLE_RATE)
        write_manifest(options.out / f"{name}.tsv", rows)
    write_manifest(options.out / "all.tsv", [row for rows in sets.values() for row in rows])
    names = [row for row in sets["an4"] if spells_a_name(row[1].transcript)]
    write_manifest(options.out / "names.tsv", names)
    write_manifest(options.out / "others.tsv", [row for row in sets["an4"] if not spells_a_name(row[1].transcript)])
    phrases = sorted({utterance.transcript for _, utterance in names})
    (options.out / "names.txt").write_text("".join(f"{phrase}\t{_PHRASE_SCORE}\n" for phrase in phrases))
    (options.out / "an4.arpa").write_text(bigrams(utterance.transcript for utterance in corpora["an4"].train))
    (options.out / "digits.arpa").write_text(unigrams(DIGITS))


if __name__ == "__main__":
    main()
