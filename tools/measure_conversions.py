"""What conversions cost in words: artifacts of one model side by side on held-out speech, in each precision.

Example:
    python tools/write_held_out.py --data data --out held_out
    python tools/measure_conversions.py --data data --write-calibration calibration
    emf-export --model demo --out plain
    emf-export --model demo --out third --cache-rank 64 --ffn-neurons 0.5 --calibration calibration
    python tools/measure_conversions.py plain third --held-out held_out/all.tsv --backend openvino

The first artifact is what the others are held to, at the same precision and with the same search. Prints one JSON
object a row: WER, its change with a 95 % interval by paired bootstrap over utterances, and how many words differ from
those of the first artifact's fp32. `--write-calibration` writes recordings of the training speakers.
"""

import argparse
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import soundfile
from demo_corpus import SAMPLE_RATE, load_held_out
from write_held_out import write_manifest

from emf.quantize.accuracy import paired_bootstrap, word_counts
from emf.runtime import Recognizer
from emf.runtime.audio.sound_files import read_resampled
from emf.runtime.speech.error_rate import EditCounts, count_errors, normalize
from emf.runtime.speech.utterances import Utterance, read_speech_manifest

_CALIBRATION = {"an4": 300, "digits": 200, "commands": 200}
_TOGETHER = 16


def write_calibration(data: Path, out: Path) -> None:
    """Recordings of training speakers and their manifest."""
    out.mkdir(parents=True, exist_ok=True)
    corpora, rows, chosen = load_held_out(data), [], random.Random(0)
    for name, count in _CALIBRATION.items():
        for index, utterance in enumerate(chosen.sample(corpora[name].train, count)):
            rows.append((f"{name}-{index:04d}.flac", utterance))
            soundfile.write(out / rows[-1][0], utterance.samples, SAMPLE_RATE)
    write_manifest(out / "manifest.tsv", rows)


def texts(artifact: Path, backend: str, precision: str, search: str, utterances: Sequence[Utterance]) -> list[str]:
    """What an artifact hears."""
    recognizer = Recognizer.load(artifact, backend=backend, precision=precision, decoding_method=search)
    found: list[str] = []
    for first in range(0, len(utterances), _TOGETHER):
        streams = [recognizer.create_stream(recording=True) for _ in utterances[first : first + _TOGETHER]]
        for stream, utterance in zip(streams, utterances[first : first + _TOGETHER], strict=True):
            stream.accept_waveform(recognizer.sample_rate, read_resampled(utterance.path, recognizer.sample_rate))
            stream.input_finished()
        recognizer.decode_ready(streams)
        found += [recognizer.get_result(stream).text for stream in streams]
    return found


def words_changed(first: Sequence[str], second: Sequence[str]) -> int:
    """Edit operations from one's words to the other's."""
    edits = (count_errors(normalize(a).split(), normalize(b).split()) for a, b in zip(first, second, strict=True))
    return sum(edits, EditCounts()).total


def main() -> None:
    """Print a row for each artifact, precision and search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", type=Path, nargs="*")
    parser.add_argument("--held-out", type=Path, help="manifest.tsv with transcripts")
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "int8"])
    parser.add_argument("--searches", nargs="+", default=["greedy", "beam"])
    parser.add_argument("--data", type=Path, help="folder of the corpora")
    parser.add_argument("--write-calibration", type=Path, help="write calibration speech to this folder")
    options = parser.parse_args()
    if options.write_calibration:
        write_calibration(options.data, options.write_calibration)
    utterances = read_speech_manifest(options.held_out) if options.artifacts else []
    references = [utterance.transcript or "" for utterance in utterances]
    for search in options.searches:
        float_texts: list[str] | None = None
        for precision in options.precisions:
            plain = None
            for artifact in options.artifacts:
                found = texts(artifact, options.backend, precision, search, utterances)
                counts = word_counts(references, found)
                plain, float_texts = plain or counts, float_texts or found
                low, high = paired_bootstrap(plain, counts)
                row = {
                    "artifact": artifact.name,
                    "backend": options.backend,
                    "precision": precision,
                    "search": search,
                    "wer": round(100 * counts.rate, 2),
                    "change": round(100 * (counts.rate - plain.rate), 2),
                    "interval": [round(100 * low, 2), round(100 * high, 2)],
                    "words_changed": words_changed(float_texts, found),
                    "words": int(counts.lengths.sum()),
                }
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
