"""Streaming resampling with the phase carried from call to call, and a state that can move elsewhere."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.samples import check_sample_rate

HISTORY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ResamplerState:
    """All that a resampler needs to go on elsewhere: rates in Hz, counts of samples, the last input.

    soxr keeps its filter's memory to itself, so the memory is rebuilt: `history` is fed again, from
    a sample at which both rates' clocks coincide, and what had been given out already is skipped.
    """

    source_rate: int
    consumed: int
    produced: int
    history: FloatArray


class Resampler:
    """One stream's way from its sample rate to the model's."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        """Both rates in Hz; equal rates pass samples through."""
        self.source_rate = source_rate
        self.target_rate = target_rate
        self._stream = None if source_rate == target_rate else _open_stream(source_rate, target_rate)
        self._consumed = self._produced = self._skip = 0
        self._history = np.zeros(0, np.float32)
        self._surplus = np.zeros(0, np.float32)

    def __call__(self, samples: FloatArray, last: bool = False) -> FloatArray:
        """Resample the next samples; `last` also gives what the filter still holds."""
        if self._stream is None:
            return samples
        result: FloatArray = self._stream.resample_chunk(samples, last=last)
        self._remember(samples)
        skipped = min(self._skip, len(result))
        self._skip -= skipped
        result = np.concatenate([self._surplus, result[skipped:]])
        self._surplus = self._surplus[:0]
        self._produced += len(result)
        return result

    def _remember(self, samples: FloatArray) -> None:
        self._consumed += len(samples)
        self._history = np.concatenate([self._history, samples])[-self._history_length :]

    @property
    def seconds_taken(self) -> float | None:
        """Length of the audio that came; `None` where it passes through, uncounted."""
        return None if self._stream is None else self._consumed / self.source_rate

    @property
    def _history_length(self) -> int:
        """Samples of the input that are remembered at the most."""
        return int(HISTORY_SECONDS * self.source_rate) + self._period

    @property
    def _period(self) -> int:
        """Input samples after which the clocks of both rates coincide again."""
        return self.source_rate // math.gcd(self.source_rate, self.target_rate)

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
        resampler._consumed, resampler._produced = state.consumed, state.produced
        resampler._history = state.history
        remembered = min(state.consumed, resampler._history_length)
        if len(state.history) != remembered:
            raise ValueError(f"the resampler must remember {remembered} samples, found {len(state.history)}")
        if resampler._stream is None:
            if state.consumed or state.produced:
                raise ValueError(f"audio at {target_rate} Hz is not resampled, but {state.consumed} samples were")
            return resampler
        period = resampler._period
        start = -(-(state.consumed - len(state.history)) // period) * period
        again = state.history[start - (state.consumed - len(state.history)) :]
        already_given = state.produced - start * target_rate // state.source_rate
        if not 0 <= already_given <= len(again) * target_rate // state.source_rate + 1:
            raise ValueError(f"{state.consumed} samples cannot have been resampled to {state.produced}")
        replayed = resampler._stream.resample_chunk(again)
        # The replay gives in other portions than the original did: too few are skipped later, too many kept.
        resampler._skip = max(already_given - len(replayed), 0)
        resampler._surplus = replayed[already_given:]
        return resampler


def _open_stream(source_rate: int, target_rate: int) -> Any:
    import soxr  # audio at the model's rate needs none

    return soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32")
