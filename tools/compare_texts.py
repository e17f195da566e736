"""Compare what artifacts of one model hear: words other than the first artifact's, and error rates with an interval.

Example:
    python tools/compare_texts.py all.tsv --artifacts artifacts/plain artifacts/int8-cache --variants openvino/int8

The manifest has transcripts; `tools/write_held_out.py` writes one, and with `--calibration` speech to make the
artifacts with. For every variant and search one line an artifact: words changed, word error rate, and its change
against the first artifact with a 95 % interval from paired bootstrap.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from emf.quantize.accuracy import paired_bootstrap, word_counts
from emf.quantize.corpus import load_samples
from emf.runtime import Recognizer
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.encoder_state import bytes_a_stream
from emf.runtime.speech.utterances import Utterance, read_speech_manifest


def texts(artifact: Path, variant: Variant, method: str, utterances: Sequence[Utterance]) -> list[str]:
    """What a variant hears in each recording."""
    recognizer = Recognizer.load(
        artifact, backend=variant.backend, precision=variant.precision, decoding_method=method, num_threads=1
    )
    rate = recognizer.sample_rate
    return [recognizer.transcribe(load_samples(utterance, rate), rate).text for utterance in utterances]


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--artifacts", required=True, type=Path, nargs="+", help="the first is what others are held to")
    parser.add_argument("--variants", nargs="+", default=["onnxruntime/fp32", "openvino/fp32"])
    parser.add_argument("--decoding-methods", nargs="+", default=["greedy", "beam"])
    options = parser.parse_args()
    utterances = read_speech_manifest(options.manifest)
    references = [utterance.transcript or "" for utterance in utterances]
    sys.stdout.write(f"{len(utterances)} recordings, {sum(len(text.split()) for text in references)} words\n")
    for variant in map(Variant.parse, options.variants):
        for method in options.decoding_methods:
            first: list[str] = []
            for artifact in options.artifacts:
                found = texts(artifact, variant, method, utterances)
                first = first or found
                counts, plain = word_counts(references, found), word_counts(references, first)
                low, high = (100.0 * bound for bound in paired_bootstrap(plain, counts))
                kept = bytes_a_stream(read_manifest(artifact).variant(variant)["encoder"])
                changed = int(word_counts(first, found).errors.sum())
                sys.stdout.write(
                    f"{variant} {method:7} {artifact.name:20} {changed:4} words changed, "
                    f"WER {100 * counts.rate:5.2f} %, {100 * (counts.rate - plain.rate):+.2f} "
                    f"[{low:+.2f}, {high:+.2f}], {kept} bytes a stream\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
