"""Find where each word lies in the recordings, with PocketSphinx and the acoustic model that its package ships.

Example:
    python tools/align_demo.py --folder data/an4 --out work/alignments/an4.tsv

Writes one line a recording: its path, then `word:start:end` in samples for each word, tab-separated. Recordings that
PocketSphinx cannot align are left out. The alignments only guide the first part of the training.
"""

import argparse
import logging
from pathlib import Path

import pocketsphinx
from demo_corpus import SAMPLE_RATE, Utterance, load_folder

_LOGGER = logging.getLogger("align_demo")
_HOP = SAMPLE_RATE // 100
_SILENCES = ("<s>", "</s>", "<sil>", "[NOISE]", "[SPEECH]")


def align(decoder: pocketsphinx.Decoder, utterance: Utterance) -> list[tuple[str, int, int]] | None:
    """Words with their first and last sample, or None where no alignment of the transcript is found."""
    for word in utterance.transcript.split():
        if decoder.lookup_word(word) is None:
            return None
    decoder.set_align_text(utterance.transcript)
    decoder.start_utt()
    decoder.process_raw(utterance.samples.tobytes(), full_utt=True)
    decoder.end_utt()
    segments = [(part.word.split("(")[0], part.start_frame, part.end_frame) for part in decoder.seg() or ()]
    words = [(word, start * _HOP, (end + 1) * _HOP) for word, start, end in segments if word not in _SILENCES]
    return words if [word for word, _, _ in words] == utterance.transcript.split() else None


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="folder with a manifest.tsv")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL")
    if decoder.lookup_word("rubout") is None:
        decoder.add_word("rubout", "R AH B AW T", update=True)
    rows = (options.folder / "manifest.tsv").read_text().splitlines()[1:]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w") as out:
        for row, utterance in zip(rows, load_folder(options.folder), strict=True):
            words = align(decoder, utterance)
            if words is None:
                _LOGGER.warning("no alignment of %s (%s)", row.split("\t")[0], utterance.transcript)
                continue
            out.write("\t".join((row.split("\t")[0], *(f"{word}:{start}:{end}" for word, start, end in words))) + "\n")


if __name__ == "__main__":
    main()
