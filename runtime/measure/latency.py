"""Latency of one stream, measured as a service would feel it, beside a baseline in the same run."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.measure.figures import LatencyStatistics, StreamFigures
from emf.runtime.measure.timing import ComponentTimes
from emf.runtime.recognition.recognizer import Recognizer


@dataclass
class Measurements:
    """What was measured over any number of recordings; all times in seconds.

    Attributes:
        chunks: from a complete chunk of audio to its updated result.
        first_results: from creating a stream to its first result, audio already there.
        components: each chunk's time in every component.
        processing: total time spent.
        audio: total length of the audio, padding not counted.
        stable_delays: from the frame that emitted a token to the end of the chunk after which it cannot change.
        tokens: tokens of each recording.
    """

    chunks: list[float] = field(default_factory=list)
    first_results: list[float] = field(default_factory=list)
    components: list[dict[str, float]] = field(default_factory=list)
    processing: float = 0.0
    audio: float = 0.0
    stable_delays: list[float] = field(default_factory=list)
    tokens: list[tuple[int, ...]] = field(default_factory=list)

    def figures(self) -> StreamFigures:
        """Statistics of all that was measured."""
        names = self.components[0] if self.components else {}
        return StreamFigures(
            chunks=len(self.chunks),
            audio_s=self.audio,
            chunk_ms=LatencyStatistics.of(self.chunks),
            components_ms={n: 1e3 * float(np.mean([c[n] for c in self.components])) for n in names},
            ttft_ms=LatencyStatistics.of(self.first_results),
            stable_delay_ms=LatencyStatistics.of(self.stable_delays),
            rtf=self.processing / self.audio if self.audio else 0.0,
        )


class Baseline(Protocol):
    """Another implementation to compare with, see `emf.runtime.measure.baselines`."""

    def measure(self, samples: FloatArray, measurements: Measurements) -> None:
        """Run one stream over mono audio at the model's rate and add what was measured."""


def measure_stream(
    recognizer: Recognizer, times: ComponentTimes, samples: FloatArray, measurements: Measurements
) -> None:
    """Run one stream over a recording, fed a segment at a time, and add what was measured.

    Args:
        recognizer: loaded with `times`.
        times: where its components add up their time.
        samples: mono audio at the model's rate.
        measurements: what to add to.
    """
    segment = recognizer.transducer.manifest.samples_per_step
    rate = recognizer.sample_rate
    measurements.first_results.append(_time_to_first_result(recognizer, samples, segment))
    stream = recognizer.create_stream()
    stable = 0
    times.take(0.0)
    for start in range(0, len(samples) + segment, segment):
        if start < len(samples):
            stream.accept_waveform(rate, samples[start : start + segment])
        else:
            stream.input_finished()
        while recognizer.is_ready(stream):
            begin = time.perf_counter()
            recognizer.decode_streams([stream])
            result = recognizer.get_result(stream)
            elapsed = time.perf_counter() - begin
            measurements.chunks.append(elapsed)
            measurements.components.append(times.take(elapsed))
            measurements.processing += elapsed
            heard = stream.state.search.num_frames * recognizer.seconds_per_frame
            count = len(result.timestamps if result.is_final else stream.state.emitted)
            measurements.stable_delays += [heard - emitted for emitted in result.timestamps[stable:count]]
            stable = count
    measurements.audio += len(samples) / rate
    measurements.tokens.append(result.token_ids if len(samples) else ())


def _time_to_first_result(recognizer: Recognizer, samples: FloatArray, segment: int) -> float:
    begin = time.perf_counter()
    stream = recognizer.create_stream()
    stream.accept_waveform(recognizer.sample_rate, samples[: 2 * segment])
    stream.input_finished()
    recognizer.decode_streams([stream])
    recognizer.get_result(stream)
    return time.perf_counter() - begin


def compare_streams(
    recognizer: Recognizer,
    times: ComponentTimes,
    baseline: Baseline | None,
    recordings: Sequence[FloatArray],
    progress: Callable[[Sequence[FloatArray]], Iterable[FloatArray]] = iter,
) -> tuple[Measurements, Measurements]:
    """Measure all recordings, baseline and recognizer in turn, after a warm-up with the first."""
    ours, theirs = Measurements(), Measurements()
    measure_stream(recognizer, times, recordings[0], Measurements())
    if baseline:
        baseline.measure(recordings[0], Measurements())
    for samples in progress(recordings):
        measure_stream(recognizer, times, samples, ours)
        if baseline:
            baseline.measure(samples, theirs)
    return ours, theirs
