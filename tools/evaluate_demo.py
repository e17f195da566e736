"""Measure the demo model by true streaming on the held-out speakers, with torchaudio's own beam search.

Example:
    python tools/evaluate_demo.py --data data --model export/demo --beam-width 10

Every utterance runs through `RNNTBeamSearch.infer`, one segment of 16 frames and 4 of right context after the other,
with both frontends: `windowed` (torchaudio's streaming extractor) and `continuous` (features of the unbroken stream).
Prints one JSON object: per set and frontend the WER, its parts, and the number of words and speakers.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import jiwer
import torch
from demo_corpus import Utterance, dev_sets, load_folder, load_held_out
from demo_decoding import stream, waveform
from demo_features import Frontend
from demo_model import load_model, load_pieces


@cache
def _loaded(folder: Path) -> tuple[Any, Frontend, Any]:
    """Model, frontend and pieces, once in each worker process."""
    torch.set_num_threads(1)
    return load_model(folder), Frontend.load(folder / "global_stats.json"), load_pieces(folder)


def transcribe(folder: Path, utterance: Utterance, windowed: bool, beam_width: int) -> str:
    """The text of one utterance, streamed."""
    model, frontend, pieces = _loaded(folder)
    tokens = stream(model, frontend, waveform(utterance), windowed=windowed, beam_width=beam_width)
    return str(pieces.decode(tokens))


def measure(
    folder: Path, utterances: list[Utterance], *, windowed: bool, beam_width: int, processes: int, show: bool = False
) -> dict[str, float]:
    """WER over a set, as jiwer computes it."""
    count = len(utterances)
    with ProcessPoolExecutor(processes) as pool:
        arguments = ([folder] * count, utterances, [windowed] * count, [beam_width] * count)
        texts = list(pool.map(transcribe, *arguments, chunksize=4))
    references = [utterance.transcript for utterance in utterances]
    if show:
        for reference, text in zip(references, texts, strict=True):
            sys.stderr.write(f"{'  ' if reference == text else '* '}{reference} | {text}\n")
    result = jiwer.process_words(references, texts)
    return {
        "wer": round(result.wer, 4),
        "substitutions": result.substitutions,
        "deletions": result.deletions,
        "insertions": result.insertions,
        "words": sum(len(reference.split()) for reference in references),
        "speakers": len({utterance.speaker for utterance in utterances}),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder of the corpora, or of one manifest")
    parser.add_argument("--model", required=True, type=Path, help="folder of the model")
    parser.add_argument("--beam-width", type=int, default=10)
    parser.add_argument("--frontends", nargs="+", default=["continuous", "windowed"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--show", action="store_true", help="print reference and text on standard error, errors starred"
    )
    options = parser.parse_args()
    one = (options.data / "manifest.tsv").exists()
    sets = {options.data.name: load_folder(options.data)} if one else dev_sets(load_held_out(options.data))
    report = {
        name: {
            frontend: measure(
                options.model,
                utterances,
                windowed=frontend == "windowed",
                beam_width=options.beam_width,
                processes=options.processes,
                show=options.show,
            )
            for frontend in options.frontends
        }
        for name, utterances in sets.items()
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
