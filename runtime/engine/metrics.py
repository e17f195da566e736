"""Metrics of an engine: plain numbers, over its life and over a sliding window."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """State of an engine. Counts cover its whole life; fields named recent cover the sliding window.

    Attributes:
        streams: streams that hold a slot now.
        capacity: streams that the engine would hold: the given limit, or the measured one.
        admitted: streams opened.
        refused: streams not opened because the engine was full.
        finished: streams decoded to their end.
        failed: streams ended by an error.
        abandoned: streams whose caller closed or lost the handle before the end.
        timed_out: streams finished because their audio stopped coming.
        chunks: chunks decoded.
        batches: batches decoded.
        deadline_misses: chunks whose result came after the deadline.
        ready: streams with a chunk that waits to be decoded, now.
        queued_seconds: audio that waits to be decoded, now, over all streams.
        recent_batch_size: mean streams in a batch.
        recent_largest_batch: most streams in a batch.
        recent_p50_ms: median time from a complete chunk to its result, milliseconds.
        recent_p95_ms: its 95th percentile.
        recent_p99_ms: its 99th percentile.
        headroom: idle share of the workers' time in the window, from 0 to 1.
    """

    streams: int
    capacity: int
    admitted: int
    refused: int
    finished: int
    failed: int
    abandoned: int
    timed_out: int
    chunks: int
    batches: int
    deadline_misses: int
    ready: int
    queued_seconds: float
    recent_batch_size: float
    recent_largest_batch: int
    recent_p50_ms: float
    recent_p95_ms: float
    recent_p99_ms: float
    headroom: float
