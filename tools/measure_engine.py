"""Run real-time streams through an `Engine`, fed in small packets as a service feeds it, and say how late chunks are.

Each configuration is `THREADS:WORKERS:WAIT`: threads of the recognizer, workers of the engine, and milliseconds for
which a chunk waits for others. Streams begin in the first two seconds; the figures are the engine's own, of the last
ten. `busy` is the processor time of the process as a share of one processor.

Example:
    python tools/measure_engine.py artifacts/base librispeech/manifest.tsv --precision int8 --streams 36 40 \
        --configurations 2:1:20 1:2:20 1:2:0 --rounds 3
"""

import argparse
import gc
import heapq
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emf.runtime import Engine, Recognizer
from emf.runtime.arrays import FloatArray
from emf.runtime.engine.metrics import EngineMetrics
from emf.runtime.recognition.result import Result
from emf.runtime.speech.recordings import read_recordings

_JOINING = 2.0
_WINDOW = 10.0
_SEED = 7


@dataclass(frozen=True, slots=True)
class Configuration:
    """How the processors are used; see the module."""

    threads: int
    workers: int
    wait_ms: float

    @classmethod
    def parse(cls, text: str) -> "Configuration":
        """`THREADS:WORKERS:WAIT`."""
        threads, workers, wait_ms = text.split(":")
        return cls(int(threads), int(workers), float(wait_ms))


def run(
    recognizer: Recognizer,
    configuration: Configuration,
    recordings: Sequence[FloatArray],
    streams: int,
    packet_seconds: float,
) -> tuple[EngineMetrics, float]:
    """The engine's figures at the end of a load, and the share of a processor that it used."""
    random, rate = np.random.default_rng(_SEED), recognizer.sample_rate
    packet = round(packet_seconds * rate)
    audio = [np.roll(recordings[n % len(recordings)], -int(random.integers(0, 10 * rate))) for n in range(streams)]
    engine = Engine(
        recognizer,
        max_streams=streams,
        max_wait_ms=configuration.wait_ms,
        num_workers=configuration.workers,
        window_ms=1e3 * _WINDOW,
    )
    handles = [engine.open(on_result=_ignore) for _ in range(streams)]
    start = time.perf_counter() + 0.1
    begins = start + _JOINING * random.random(streams)
    due = [(float(begin), stream, 0) for stream, begin in enumerate(begins)]
    heapq.heapify(due)
    measured: tuple[float, float] | None = None
    while True:
        at, stream, number = heapq.heappop(due)
        if at >= start + _JOINING + _WINDOW:
            break
        time.sleep(max(at - time.perf_counter(), 0.0))
        if measured is None and at >= start + _JOINING:
            measured = time.process_time(), time.perf_counter()
        begin = number * packet % len(audio[stream])
        handles[stream].accept_waveform(rate, audio[stream][begin : begin + packet])
        heapq.heappush(due, (float(begins[stream]) + (number + 1) * packet_seconds, stream, number + 1))
    assert measured is not None
    busy = (time.process_time() - measured[0]) / (time.perf_counter() - measured[1])
    figures = engine.metrics()
    for handle in handles:
        handle.close()
    engine.close()
    return figures, busy


def _ignore(result: Result) -> None:
    pass


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("audio", type=Path, nargs="+", help="sound files, or manifests that list them")
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--decoding-method", default="beam")
    parser.add_argument("--streams", type=int, nargs="+", default=[32])
    parser.add_argument("--packet-ms", type=float, default=20.0)
    parser.add_argument("--configurations", type=Configuration.parse, nargs="+", required=True)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    recognizers = {
        threads: Recognizer.load(
            options.artifact,
            backend=options.backend,
            precision=options.precision,
            decoding_method=options.decoding_method,
            num_threads=threads,
        )
        for threads in {configuration.threads for configuration in options.configurations}
    }
    recordings = read_recordings(options.audio, next(iter(recognizers.values())).sample_rate, 60.0)
    sys.stdout.write("streams  threads  workers  wait ms   p50   p95   p99  mean batch  busy   (milliseconds)\n")
    for streams in options.streams:
        for configuration in options.configurations * options.rounds:
            gc.collect()
            recognizer = recognizers[configuration.threads]
            figures, busy = run(recognizer, configuration, recordings, streams, options.packet_ms / 1e3)
            sys.stdout.write(
                f"{streams:7}  {configuration.threads:7}  {configuration.workers:7}  {configuration.wait_ms:7g}  "
                f"{figures.recent_p50_ms:4.0f}  {figures.recent_p95_ms:4.0f}  {figures.recent_p99_ms:4.0f}  "
                f"{figures.recent_batch_size:10.1f}  {busy:4.2f}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
