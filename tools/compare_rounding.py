"""Tell what rounding alone changes: passes over several segments beside other ways that are as good as single steps.

Example:
    python tools/compare_rounding.py artifacts/mine an4/manifest.tsv --variant onnxruntime/int8 --recordings 40

Every way is held to single steps of the variant. `passes` encodes several segments in one pass. `gain` takes single
steps, and audio that is louder by a part in `--gain`, by default a millionth: nobody can hear that, and an INT8 encoder
rounds otherwise where a number lies at the border of two steps of a quantizer. `other backend` takes single steps of
the same precision. Columns: the ratio of the encodings' power to that of their difference in dB, the share of the
reference's tokens that stand in the other's in order, greedy and with the beam, the share of recordings with the very
same tokens, and, where the manifest has transcripts, word errors in percent with the beam.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure_passes import Tokens, chunk_by_chunk, in_common

from emf.runtime import Recognizer, Result
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.session import BACKENDS
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.speech.error_rate import word_errors
from emf.runtime.speech.recordings import read_recordings
from emf.runtime.speech.utterances import gather_utterances

_UNLIMITED = 1e6
_METHODS = ("greedy", "beam")


@dataclass(frozen=True)
class Heard:
    """What one way gave: encodings of each recording, and results by method."""

    encodings: list[FloatArray]
    results: dict[str, list[Result]]

    def tokens(self, method: str) -> list[Tokens]:
        """Of each recording."""
        return [result.token_ids for result in self.results[method]]


def encode(recognizer: Recognizer, samples: FloatArray, in_passes: bool) -> FloatArray:
    """Encodings of the whole segments of a recording, (frames, encoding_dim)."""
    stream, transducer = recognizer.create_stream(), recognizer.transducer
    stream.accept_waveform(recognizer.sample_rate, samples)
    extractor, audio, state = recognizer.settings.extractor, stream.state.audio, stream.state.encoder
    step, found = 0, []
    while extractor.is_ready(audio, step):
        last = step + transducer.segments - 1
        count = transducer.segments if in_passes and extractor.is_ready(audio, last) else 1
        features = np.stack([extractor.extract(audio, step + index) for index in range(count)])
        encoded = transducer.encode_segments(features[None], [state])
        encoded.commit()
        found.append(encoded.encodings.reshape(-1, encoded.encodings.shape[-1]))
        step += count
    return np.concatenate(found)


def hear(artifact: Path, variant: Variant, recordings: Sequence[FloatArray], in_passes: bool) -> Heard:
    """All recordings in one way."""
    encodings: list[FloatArray] = []
    results: dict[str, list[Result]] = {}
    for method in _METHODS:
        chosen = RecognizerOptions(decoding_method=method, num_threads=1).of_variant(variant)
        recognizer = Recognizer.open(artifact, chosen)
        rate = recognizer.sample_rate
        encodings = encodings or [encode(recognizer, samples, in_passes) for samples in recordings]
        results[method] = [
            recognizer.transcribe(samples, rate) if in_passes else chunk_by_chunk(recognizer, samples)
            for samples in recordings
        ]
    return Heard(encodings, results)


def decibels(reference: Sequence[FloatArray], other: Sequence[FloatArray]) -> float:
    """Power of the reference by that of the difference; infinite if there is none."""
    first, second = (np.concatenate(arrays).astype(np.float64) for arrays in (reference, other))
    noise = np.square(first - second).sum()
    return float(10 * np.log10(np.square(first).sum() / noise)) if noise else np.inf


def line(name: str, heard: Heard, reference: Heard, transcripts: Sequence[str]) -> str:
    """One row of the table."""
    cells = [f"{name:16} {decibels(reference.encodings, heard.encodings):7.1f}"]
    for method in _METHODS:
        pairs = list(zip(reference.tokens(method), heard.tokens(method), strict=True))
        count = sum(len(first) for first, _ in pairs)
        common = sum(in_common(first, second) for first, second in pairs)
        equal = sum(first == second for first, second in pairs)
        cells.append(f"{count:7} {100 * common / max(1, count):8.2f} {100 * equal / len(pairs):7.1f}")
    if any(transcripts):
        texts = [result.text for result in heard.results["beam"]]
        cells.append(f"{100 * word_errors(zip(transcripts, texts, strict=True)).rate:7.2f}")
    return " ".join(cells)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("audio", type=Path, nargs="+", help="manifests of recordings")
    parser.add_argument("--variant", default="onnxruntime/int8")
    parser.add_argument("--recordings", type=int, default=40, help="the first so many")
    parser.add_argument("--join", action="store_true", help="as one recording, in which a difference goes on")
    parser.add_argument("--gain", type=float, default=1e6)
    options = parser.parse_args()
    backend, precision = options.variant.split("/")
    variant = Variant(backend, precision)
    utterances = gather_utterances(options.audio)[: options.recordings]
    rate = read_manifest(options.artifact).frontend.sample_rate
    recordings = read_recordings([utterance.path for utterance in utterances], rate, _UNLIMITED)
    transcripts = [utterance.transcript or "" for utterance in utterances]
    if options.join:
        recordings, transcripts = [np.concatenate(recordings)], [" ".join(transcripts)]
    louder = [(samples * (1 + 1 / options.gain)).astype(np.float32) for samples in recordings]
    reference = hear(options.artifact, variant, recordings, in_passes=False)
    sys.stdout.write(f"{variant}, {len(recordings)} recordings, {sum(map(len, recordings)) / rate:.0f} s\n")
    sys.stdout.write(f"{'':20}dB  tokens  greedy % equal %  tokens    beam % equal %     WER\n")
    ways = [("single steps", variant, recordings, False), ("passes", variant, recordings, True)]
    ways.append(("gain", variant, louder, False))
    known = read_manifest(options.artifact).variants
    others = (Variant(other, precision) for other in BACKENDS if other != backend)
    ways += [("other backend", other, recordings, False) for other in others if other in known]
    for name, chosen, samples, in_passes in ways:
        heard = reference if name == "single steps" else hear(options.artifact, chosen, samples, in_passes)
        sys.stdout.write(line(name, heard, reference, transcripts) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
