"""Measure where the time of a batch goes: milliseconds a chunk and stream, in all and by component.

Example:
    python tools/measure_batch.py artifacts/base librispeech/manifest.tsv --precision int8 --streams 16 --threads 1

All streams are decoded together, a segment of each at a time. Search is all that no other component took: search
itself, states brought together, results read.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from emf.runtime import Recognizer
from emf.runtime.measure.timing import COMPONENTS, ComponentTimes
from emf.runtime.speech.recordings import read_recordings

_WARM_UP_STEPS = 3


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("audio", type=Path, nargs="+", help="sound files, or manifests that list them")
    parser.add_argument("--backend")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--decoding-method", default="beam")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8.0, help="audio of every stream")
    options = parser.parse_args()
    times = ComponentTimes()
    recognizer = Recognizer.load(
        options.artifact,
        backend=options.backend,
        precision=options.precision,
        decoding_method=options.decoding_method,
        num_threads=options.threads,
        instrument=times,
    )
    rate, count = recognizer.sample_rate, options.streams
    length = round(options.seconds * rate)
    audio = np.resize(np.concatenate(read_recordings(options.audio, rate, count * options.seconds)), count * length)
    streams = [recognizer.create_stream() for _ in range(count)]
    for stream, samples in zip(streams, np.split(audio, count), strict=True):
        stream.accept_waveform(rate, samples)
    steps = []
    while all(recognizer.is_ready(stream) for stream in streams):
        begin = time.perf_counter()
        recognizer.decode_streams(streams)
        for stream in streams:
            recognizer.get_result(stream)
        elapsed = time.perf_counter() - begin
        steps.append(times.take(elapsed) | {"all": elapsed})
    measured = steps[_WARM_UP_STEPS:]
    mean = {name: float(np.mean([step[name] for step in measured])) for name in (*COMPONENTS, "all")}
    figures = {name: round(1e3 * seconds / count, 3) for name, seconds in mean.items()}
    sys.stdout.write(json.dumps({"streams": count, "steps": len(measured)} | figures) + "\n")


if __name__ == "__main__":
    main()
