"""How many real-time streams a machine carries: paced load, each stream on its own clock."""

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.measure.figures import LatencyStatistics
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.recognition.stream import Stream

_SEED = 7
# A load that falls this many deadlines behind cannot recover: the trial ends.
_HOPELESS = 8
_JOINING = 0.1
"""Share of the time during which streams join one after the other: callers do not all begin in the same instant."""


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """Figures of one number of streams.

    Attributes:
        streams: streams running at once.
        chunk_ms: from the arrival of each chunk's last sample to its updated result.
        chunks: how many were measured.
        mean_batch: mean size of the batches decoded.
        kept_up: the trial ran to its end.
        stream_ms: mean time of decoding over the size of the batch: what a chunk of one stream costs.
    """

    streams: int
    chunk_ms: LatencyStatistics
    chunks: int
    mean_batch: float
    kept_up: bool
    stream_ms: float


@dataclass(frozen=True, slots=True)
class Load:
    """What one number of streams did to latency.

    Attributes:
        streams: streams running at once.
        latencies: seconds from the arrival of each chunk's last sample to its updated result.
        batches: sizes of the batches decoded.
        kept_up: the trial ran to its end.
        busy: seconds of decoding all batches.
    """

    streams: int
    latencies: tuple[float, ...]
    batches: tuple[int, ...]
    kept_up: bool
    busy: float = 0.0

    def within(self, deadline: float) -> bool:
        """Whether 99 of 100 chunks met the deadline (seconds)."""
        return self.kept_up and bool(self.latencies) and float(np.percentile(self.latencies, 99)) <= deadline

    def figures(self) -> LoadFigures:
        """Statistics of the trial."""
        return LoadFigures(
            streams=self.streams,
            chunk_ms=LatencyStatistics.of(self.latencies),
            chunks=len(self.latencies),
            mean_batch=float(np.mean(self.batches)) if self.batches else 0.0,
            kept_up=self.kept_up,
            stream_ms=1e3 * self.busy / sum(self.batches) if self.batches else 0.0,
        )


@dataclass
class _Caller:
    """One caller who speaks in real time: a stream, its audio, and when it began."""

    stream: Stream
    samples: FloatArray
    begin: float
    fed: int = 0

    def feed(self, until: int, sample_rate: int) -> None:
        """Give the stream its audio up to a sample, from the recording again and again."""
        indices = np.arange(self.fed, until) % len(self.samples)
        self.stream.accept_waveform(sample_rate, self.samples[indices])
        self.fed = until


def run_load(
    recognizer: Recognizer, recordings: Sequence[FloatArray], num_streams: int, seconds: float, deadline: float
) -> Load:
    """Run streams for a while, one worker decoding whatever is ready as one batch.

    Args:
        recognizer: what to use.
        recordings: mono audio at the model's rate; streams begin at different places of them.
        num_streams: streams running at once, each with a random phase.
        seconds: how long, streams joining in the first tenth of it; the first chunk of each stream is not counted.
        deadline: greatest latency wanted, seconds; a trial that falls far behind it ends early.
    """
    recognizer.warm_up(num_streams)
    random = np.random.default_rng(_SEED)
    rate = recognizer.sample_rate
    end_sample = recognizer.settings.extractor.end_sample
    segment = recognizer.transducer.manifest.samples_per_step
    start = time.perf_counter() + 0.05
    callers = []
    for index in range(num_streams):
        samples = np.roll(recordings[index % len(recordings)], -int(random.integers(0, 10 * rate)))
        begin = start + _JOINING * seconds * index / num_streams + random.random() * segment / rate
        callers.append(_Caller(recognizer.create_stream(), samples, begin))
    due = [(caller.begin + end_sample(0) / rate, index, 0) for index, caller in enumerate(callers)]
    heapq.heapify(due)
    latencies: list[float] = []
    batches: list[int] = []
    busy = 0.0
    while True:
        now = time.perf_counter()
        if now >= start + seconds:
            return Load(num_streams, tuple(latencies), tuple(batches), True, busy)
        if now - due[0][0] > _HOPELESS * deadline:
            return Load(num_streams, tuple(latencies), tuple(batches), False, busy)
        if due[0][0] > now:
            time.sleep(due[0][0] - now)
            continue
        ready = []
        while due and due[0][0] <= now:
            ready.append(heapq.heappop(due))
        for _, index, step in ready:
            callers[index].feed(end_sample(step), rate)
        begin = time.perf_counter()
        recognizer.decode_streams([callers[index].stream for _, index, _ in ready])
        for _, index, _ in ready:
            recognizer.get_result(callers[index].stream)
        done = time.perf_counter()
        busy += done - begin
        batches.append(len(ready))
        latencies += [done - arrived for arrived, _, step in ready if step > 0]
        for arrived, index, step in ready:
            heapq.heappush(due, (arrived + segment / rate, index, step + 1))
