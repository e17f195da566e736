"""Time the encoder's steps of artifacts side by side: laying out the states, the graph, writing the states back.

Each step decodes another choice of the streams, as an engine does. For the same artifact twice the ratio shows the
noise. Artifacts of one checkpoint differ in what `emf-export` made of it, such as the layout or the format of the
state.

Example:
    python tools/measure_encoder.py --artifacts before after --backend onnxruntime --precision int8 --threads 1
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.encoder_state import EncoderState, bytes_a_stream
from emf.runtime.inference.transducer import Transducer, open_transducer

_WARM_UP = 3


class _Load:
    """Streams of one artifact, of which a step decodes some."""

    def __init__(self, transducer: Transducer, num_streams: int) -> None:
        self.transducer = transducer
        self.streams = [transducer.initial_encoder_state() for _ in range(num_streams)]
        self.seconds: list[tuple[float, float]] = []

    def step(self, chosen: Sequence[int]) -> None:
        """Decode a segment of the streams chosen."""
        geometry = self.transducer.manifest.geometry
        states: list[EncoderState] = [self.streams[index] for index in chosen]
        shape = (len(states), geometry.step_length, geometry.input_dim)
        features = np.random.default_rng(len(self.seconds)).standard_normal(shape).astype(np.float32)
        begin = time.perf_counter()
        encoded = self.transducer.encode_segments(features[:, None], states)
        middle = time.perf_counter()
        encoded.commit()
        self.seconds.append((middle - begin, time.perf_counter() - middle))


def measure(transducers: Sequence[Transducer], batch: int, steps: int) -> list[tuple[float, float]]:
    """Milliseconds a stream of a step and of its commit, one pair a model: medians, the models taking turns."""
    num_streams = batch + batch // 4
    loads = [_Load(transducer, num_streams) for transducer in transducers]
    random = np.random.default_rng(0)
    for _ in range(_WARM_UP + steps):
        chosen = random.permutation(num_streams)[:batch].tolist()
        for load in loads:
            load.step(chosen)
    medians = [np.median(load.seconds[_WARM_UP:], axis=0) * 1e3 / batch for load in loads]
    return [(float(step), float(commit)) for step, commit in medians]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", required=True, type=Path, nargs="+", help="the first is what others are held to")
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 32, 60])
    parser.add_argument("--steps", type=int, default=15)
    options = parser.parse_args()
    variant = Variant(options.backend, options.precision)
    transducers = [open_transducer(read_manifest(path), variant, options.threads) for path in options.artifacts]
    sys.stdout.write(f"{variant}, {options.threads} threads, milliseconds a stream\n")
    for path, transducer in zip(options.artifacts, transducers, strict=True):
        kept = bytes_a_stream(transducer.graphs["encoder"]) / 2**20
        sys.stdout.write(f"{path.name}: a stream keeps {kept:.2f} MiB between steps\n")
    sys.stdout.write(f"{'streams':>8} {'artifact':24} {'step':>7} {'commit':>7} {'both':>7}  ratio\n")
    for batch in options.batches:
        figures = measure(transducers, batch, options.steps)
        first = sum(figures[0])
        for path, (step, commit) in zip(options.artifacts, figures, strict=True):
            both = step + commit
            figures_of_one = f"{step:7.3f} {commit:7.3f} {both:7.3f}  {both / first:.3f}"
            sys.stdout.write(f"{batch:8} {path.name:24} {figures_of_one}\n")


if __name__ == "__main__":
    main()
