"""Do encoders of 4 bits with other components of 8 bits beat INT8? Mixtures of an artifact's variants, side by side.

Example:
    python tools/try_mixtures.py artifacts/base --backend openvino --audio librispeech/manifest.tsv

The artifact needs the variants that the mixtures name, such as `int4-weight+int8+int8`, encoder, predictor and joiner;
graphs are linked, not made. All mixtures decode the same seconds of speech in turns, one stream at a time and then
`--streams` in a batch. Printed are medians over the rounds, in milliseconds a chunk and stream.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emf.quantize.corpus import load_samples, read_corpus
from emf.quantize.scratch_artifact import scratch_artifact
from emf.runtime import Recognizer
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import GRAPH_NAMES
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.measure.latency import Measurements, measure_stream
from emf.runtime.measure.timing import ComponentTimes

_MIXTURES = (
    "int8",
    "int8-weight",
    "int4-weight",
    "int8-weight+int8+int8",
    "int4-weight+int8+int8",
    "int4-weight+int4-weight+int8",
    "int4-weight+int8+int8-weight",
)


def _batch_ms(recognizer: Recognizer, recordings: Sequence[FloatArray]) -> float:
    """Milliseconds a chunk and stream when all recordings are decoded together."""
    streams = [recognizer.create_stream() for _ in recordings]
    for stream, samples in zip(streams, recordings, strict=True):
        stream.accept_waveform(recognizer.sample_rate, samples)
    begin, chunks = time.perf_counter(), 0
    while ready := [stream for stream in streams if recognizer.is_ready(stream)]:
        recognizer.decode_streams(ready)
        chunks += len(ready)
    return 1e3 * (time.perf_counter() - begin) / chunks


def main() -> None:
    """Print a row for each mixture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--audio", type=Path, required=True, help="manifest.tsv of speech")
    parser.add_argument("--mixtures", default=",".join(_MIXTURES))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beam-width", type=int, default=10)
    options = parser.parse_args()
    manifest = read_manifest(options.artifact)
    present = {variant.precision for variant in manifest.variants if variant.backend == options.backend}
    names = options.mixtures.split(",")
    with scratch_artifact(manifest, options.backend, None, tuple(present)) as bench:
        recognizers, times = [], []
        for name in names:
            parts = name.split("+") * (1 if "+" in name else len(GRAPH_NAMES))
            bench.mix(name, dict(zip(GRAPH_NAMES, parts, strict=True)))
            times.append(ComponentTimes())
            recognizers.append(
                Recognizer.load(
                    bench.folder,
                    backend=options.backend,
                    precision=name,
                    num_threads=options.threads,
                    beam_width=options.beam_width,
                    instrument=times[-1],
                )
            )
        rate = recognizers[0].sample_rate
        utterances = read_corpus(options.audio)
        speech = np.concatenate([load_samples(utterance, rate) for utterance in utterances[:16]])
        size = int(options.seconds * rate)
        recordings = [speech[start : start + size] for start in range(0, options.streams * size, size)]
        alone = [Measurements() for _ in names]
        batches: list[list[float]] = [[] for _ in names]
        for turn in range(options.rounds + 1):
            for index, recognizer in enumerate(recognizers):
                kept = alone[index] if turn else Measurements()  # the first round warms up
                measure_stream(recognizer, times[index], recordings[turn % len(recordings)], kept)
                taken = _batch_ms(recognizer, recordings)
                batches[index] += [taken] if turn else []
    sys.stdout.write(f"| {options.backend} | p50 | encoder | predictor | joiner | {options.streams} streams |\n")
    sys.stdout.write("|---|---|---|---|---|---|\n")
    for name, measured, batch in zip(names, alone, batches, strict=True):
        figures = measured.figures()
        parts = " | ".join(f"{figures.components_ms[graph]:.2f}" for graph in GRAPH_NAMES)
        sys.stdout.write(f"| {name} | {figures.chunk_ms.p50:.2f} | {parts} | {statistics.median(batch):.2f} |\n")


if __name__ == "__main__":
    main()
