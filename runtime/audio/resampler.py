"""Streaming resampling by a polyphase filter, with a state that can move elsewhere.

The filter is a sinc under a Kaiser window (Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5): flat to 0.89
of the lower Nyquist frequency and 90 dB down beyond it. An output needs `HALF_WIDTH` samples of the lower rate on each
side: 7 ms of audio at 8 kHz, 3.5 ms at 16 kHz and above.

The cut of the audio into calls changes no bit, because all sums are exact: samples are multiples of 2**-24 up to 16,
taps are multiples of 2**-22, and the taps of an output add up to less than 8 in magnitude. Every sum of their products
fits into the 53 bits of a float64, in whatever order a matrix product adds them.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.samples import MAX_AMPLITUDE, check_sample_rate

HALF_WIDTH = 56
CUTOFF = 0.95
"""Centre of the transition band, as a share of the lower Nyquist frequency."""
KAISER_BETA = 8.96
SAMPLE_UNIT, TAP_UNIT = 2.0**-24, 2.0**-22
MOST_TAPS = 100_000
"""Ratios with more, as 12 345 Hz to 16 kHz has, interpolate between `TABLE_PHASES` phases to each lower sample."""
TABLE_PHASES = 512
BLOCK = 40
"""Outputs of one matrix product at the most."""
PIECE = 4096
"""Samples, and outputs, at once at the most: bounds the memory for a long recording."""
FORMER_HISTORY_SECONDS = 0.5
"""Input that snapshots of release 0.1.0 hold, which resampled by soxr."""

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A pair of rates in lowest terms: `source` samples last as long as `target` outputs.

    Output n lies at sample n * source / target.
    """

    source: int
    target: int

    @classmethod
    def of(cls, source_rate: int, target_rate: int) -> "Ratio":
        """Of two rates in Hz."""
        common = math.gcd(source_rate, target_rate)
        return cls(source_rate // common, target_rate // common)

    @property
    def half(self) -> int:
        """Samples that an output needs on each side."""
        return -(-HALF_WIDTH * max(self.source, self.target) // self.target)

    def first_sample(self, output: int) -> int:
        """The first sample that an output needs; those before the audio are silence."""
        return output * self.source // self.target - self.half + 1

    def possible(self, consumed: int) -> int:
        """Outputs for which so many samples suffice."""
        return max(-(-(consumed - self.half) * self.target // self.source), 0)

    def complete(self, consumed: int) -> int:
        """Outputs that last as long as so many samples."""
        return (2 * consumed * self.target + self.source) // (2 * self.source)

    def taps(self, distances: DoubleArray) -> DoubleArray:
        """The filter at distances in samples; the last axis but one holds the taps of an output, which add up to 1."""
        scaled = distances * min(1.0, self.target / self.source)
        inside = np.maximum(1.0 - (scaled / HALF_WIDTH) ** 2, 0.0)
        window = np.where(inside > 0.0, np.i0(KAISER_BETA * np.sqrt(inside)), 0.0)
        taps = window * np.sinc(CUTOFF * scaled)
        result: DoubleArray = np.rint(taps / taps.sum(axis=-2, keepdims=True) / TAP_UNIT) * TAP_UNIT
        return result


class Filter(Protocol):
    """Computes outputs of one ratio."""

    def first_sample(self, output: int) -> int:
        """The first sample that must be there to compute outputs from this one on."""

    def outputs(self, samples: FloatArray, first: int, count: int) -> DoubleArray:
        """So many outputs from samples that begin at `first_sample(first)`; those after the last are silence."""


class CyclicFilter:
    """Keeps the taps of all phases, as one matrix for each block of a cycle.

    A cycle is the shortest run of blocks after which the phases repeat. Cycles are computed whole.
    """

    def __init__(self, ratio: Ratio) -> None:
        target = ratio.target
        block = target * (BLOCK // target) or max(size for size in range(1, BLOCK + 1) if target % size == 0)
        self._outputs = max(target, block)
        self._samples = self._outputs // target * ratio.source
        self._ratio = ratio
        starts = np.arange(0, self._outputs, block) * ratio.source // target
        window = (block - 1) * ratio.source // target + 1 + 2 * ratio.half
        outputs = np.arange(self._outputs).reshape(-1, 1, block)
        samples = starts[:, None, None] + np.arange(1 - ratio.half, 1 - ratio.half + window)[:, None]
        self._taps = ratio.taps(samples - outputs * ratio.source / target)
        self._starts = starts

    def first_sample(self, output: int) -> int:
        """See `Filter`."""
        return self._ratio.first_sample(output // self._outputs * self._outputs)

    def outputs(self, samples: FloatArray, first: int, count: int) -> DoubleArray:
        """See `Filter`."""
        skipped = first % self._outputs
        cycles = -(-(skipped + count) // self._outputs)
        last_start, window = int(self._starts[-1]), self._taps.shape[1]
        padded = padded_to((cycles - 1) * self._samples + last_start + window, samples)
        step = padded.itemsize
        shape, strides = (last_start + 1, cycles, window), (step, step * self._samples, step)
        windows = np.ndarray(shape, padded.dtype, padded, 0, strides)[self._starts]
        blocks = windows @ self._taps
        result: DoubleArray = blocks.swapaxes(0, 1).reshape(-1)[skipped : skipped + count]
        return result


class InterpolatingFilter:
    """Keeps the taps of some phases, and gives an output between two of them their weighted mean."""

    def __init__(self, ratio: Ratio) -> None:
        self._phases = -(-TABLE_PHASES * min(ratio.source, ratio.target) // ratio.source)
        self._ratio = ratio
        places = np.arange(self._phases + 1) / self._phases
        self._taps = ratio.taps(np.arange(1 - ratio.half, 1 + ratio.half)[:, None] - places).T.copy()

    def first_sample(self, output: int) -> int:
        """See `Filter`."""
        return self._ratio.first_sample(output)

    def outputs(self, samples: FloatArray, first: int, count: int) -> DoubleArray:
        """See `Filter`."""
        source, target = self._ratio.source, self._ratio.target
        starts, phases = np.divmod(first * source % target + np.arange(count) * source, target)
        rows, rests = np.divmod(phases * self._phases, target)
        window = self._taps.shape[1]
        padded = padded_to(int(starts[-1]) + window, samples)
        step = padded.itemsize
        windows = np.ndarray((int(starts[-1]) + 1, window), padded.dtype, padded, 0, (step, step))[starts]
        below = np.einsum("nk,nk->n", windows, self._taps[rows])
        above = np.einsum("nk,nk->n", windows, self._taps[rows + 1])
        result: DoubleArray = below + rests / target * (above - below)
        return result


def in_units(samples: FloatArray) -> FloatArray:
    """The nearest multiples of `SAMPLE_UNIT`: 16-bit audio stays as it is."""
    result: FloatArray = np.rint(samples / SAMPLE_UNIT) * np.float32(SAMPLE_UNIT)
    return result


def padded_to(length: int, samples: FloatArray) -> DoubleArray:
    """The first samples, and silence where there are too few."""
    padded = np.zeros(length)
    padded[: len(samples)] = samples[:length]
    return padded


@lru_cache(maxsize=16)
def filter_of(ratio: Ratio) -> Filter:
    """The filter of a ratio, shared by all streams."""
    return CyclicFilter(ratio) if 2 * ratio.half * ratio.target <= MOST_TAPS else InterpolatingFilter(ratio)


@dataclass(frozen=True, slots=True)
class ResamplerState:
    """All that a resampler needs to go on elsewhere: rate in Hz, counts of samples, the last input."""

    source_rate: int
    consumed: int
    produced: int
    history: FloatArray


class Resampler:
    """One stream's way from its sample rate to the model's."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        """Both rates in Hz; equal rates pass samples through."""
        self.source_rate = source_rate
        self._ratio = Ratio.of(source_rate, target_rate)
        self._filter = None if source_rate == target_rate else filter_of(self._ratio)
        self._consumed = self._produced = 0
        self._history = np.zeros(-self._filter.first_sample(0) if self._filter else 0, np.float32)

    def __call__(self, samples: FloatArray, last: bool = False) -> FloatArray:
        """Resample the next samples, in [-16, 16]; `last` also gives what the filter still holds."""
        if self._filter is None:
            return samples
        length = max(PIECE * min(self._ratio.source, self._ratio.target) // self._ratio.target, 1)
        pieces = [np.zeros(0, np.float32)]
        for start in range(0, len(samples), length):
            piece = samples[start : start + length]
            self._consumed += len(piece)
            self._history = np.concatenate([self._history, in_units(piece)])
            pieces.append(self._outputs(self._filter, self._ratio.possible(self._consumed)))
        if last:
            pieces.append(self._outputs(self._filter, self._ratio.complete(self._consumed)))
        return np.concatenate(pieces)

    def _outputs(self, filter_: Filter, end: int) -> FloatArray:
        """All outputs before `end` that were not given yet."""
        first, self._produced = self._produced, max(end, self._produced)
        if first == self._produced:
            return np.zeros(0, np.float32)
        result = filter_.outputs(self._history, first, self._produced - first)
        self._history = self._history[filter_.first_sample(self._produced) - filter_.first_sample(first) :]
        return result.astype(np.float32)

    @property
    def seconds_taken(self) -> float | None:
        """Length of the audio that came; `None` where it passes through, uncounted."""
        return None if self._filter is None else self._consumed / self.source_rate

    def state(self) -> ResamplerState:
        """The state as a value."""
        return ResamplerState(self.source_rate, self._consumed, self._produced, self._history.copy())

    @classmethod
    def restore(cls, state: ResamplerState, target_rate: int) -> "Resampler":
        """A resampler that goes on where `state` was taken.

        Raises:
            AudioError: an impossible sample rate.
            ValueError: the counts contradict each other or the history.
        """
        resampler = cls(check_sample_rate(state.source_rate), target_rate)
        if resampler._filter is None:
            if state.consumed or state.produced or len(state.history):
                raise ValueError(f"audio at {target_rate} Hz is not resampled, but {state.consumed} samples were")
            return resampler
        if not 0 <= state.produced <= resampler._ratio.complete(state.consumed):
            raise ValueError(f"{state.consumed} samples cannot have been resampled to {state.produced}")
        needed = state.consumed - resampler._filter.first_sample(state.produced)
        history = state.history
        former_length = int(FORMER_HISTORY_SECONDS * state.source_rate) + resampler._ratio.source
        if len(history) == min(state.consumed, former_length):
            silence = resampler._history if len(history) == state.consumed else history[:0]
            history = np.concatenate([silence, in_units(history)])[-needed:]
        if len(history) != needed or np.abs(history).max() > MAX_AMPLITUDE:
            raise ValueError(f"the resampler must remember {needed} samples up to 16, found {len(history)}")
        resampler._consumed, resampler._produced, resampler._history = state.consumed, state.produced, history
        return resampler
