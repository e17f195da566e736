"""What measurements come to: the figures of one stream, as `--json` and the reports give them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_PERCENTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class LatencyStatistics:
    """Mean and percentiles in milliseconds."""

    mean: float
    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "LatencyStatistics":
        """The statistics of times in seconds; zeros if there are none."""
        if not seconds:
            return cls(0.0, 0.0, 0.0, 0.0)
        milliseconds = 1e3 * np.asarray(seconds)
        p50, p90, p99 = np.percentile(milliseconds, _PERCENTILES)
        return cls(float(milliseconds.mean()), float(p50), float(p90), float(p99))


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """Figures of one stream over all recordings.

    Attributes:
        chunks: how many were measured.
        audio_s: total length of the audio in seconds, padding not counted.
        chunk_ms: from a complete chunk of audio to its updated result.
        components_ms: mean of a chunk by component.
        ttft_ms: from creating a stream to its first result, audio already there.
        stable_delay_ms: from the frame that emitted a token to the end of the chunk after which it cannot change.
        rtf: processing time over the length of the audio.
    """

    chunks: int
    audio_s: float
    chunk_ms: LatencyStatistics
    components_ms: Mapping[str, float]
    ttft_ms: LatencyStatistics
    stable_delay_ms: LatencyStatistics
    rtf: float
