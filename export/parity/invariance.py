"""What must not change a text: how the audio is cut, the other streams, the threads, and (FP32) the engine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.recognition.recognizer import Recognizer

_SEED = 20
_BATCH_OF = 3
Open = Callable[[str, str, int | None], Recognizer]


@dataclass(frozen=True)
class Check:
    """One property of one variant, whether it holds, and what was seen."""

    name: str
    variant: str
    passed: bool
    detail: str


def count_invariances(manifest: Manifest) -> int:
    """How many checks `check_invariances` makes of an artifact."""
    engines = sum(variant.endswith("/fp32") for variant in manifest.variants)
    return 3 * len(manifest.variants) + max(engines - 1, 0)


def check_invariances(manifest: Manifest, recordings: Sequence[FloatArray]) -> Iterator[Check]:
    """Check every variant of an artifact on mono recordings at the model's rate.

    Yields:
        One `Check` for each property and variant.
    """
    rate = manifest.frontend.sample_rate
    by_engine: dict[str, list[tuple[int, ...]]] = {}
    for variant in manifest.variants:
        backend, precision = variant.split("/", 1)
        recognizer = Recognizer.load(manifest.root, backend=backend, precision=precision)
        whole = [recognizer.transcribe(samples, rate).token_ids for samples in recordings]
        yield _compare("cut of the audio", variant, whole, [_in_pieces(recognizer, s, rate) for s in recordings])
        yield _compare("other streams in the batch", variant, whole, _in_batch(recognizer, recordings, rate))
        single = Recognizer.load(manifest.root, backend=backend, precision=precision, num_threads=1)
        alone = [single.transcribe(samples, rate).token_ids for samples in recordings]
        yield _compare("number of threads", variant, whole, alone)
        if precision == "fp32":
            by_engine[variant] = whole
    for first, second in zip(list(by_engine), list(by_engine)[1:], strict=False):
        yield _compare(f"engine (against {first})", second, by_engine[first], by_engine[second])


def _compare(name: str, variant: str, expected: list[tuple[int, ...]], found: list[tuple[int, ...]]) -> Check:
    differing = sum(a != b for a, b in zip(expected, found, strict=True))
    tokens = sum(map(len, expected))
    detail = f"{len(expected)} recordings, {tokens} tokens, {differing} recordings differ"
    return Check(name, variant, differing == 0, detail)


def _in_pieces(recognizer: Recognizer, samples: FloatArray, rate: int) -> tuple[int, ...]:
    """The recording in pieces of random length, from none to half a second, decoded as they come."""
    random = np.random.default_rng(_SEED)
    stream = recognizer.create_stream()
    position = 0
    while position < len(samples):
        length = int(random.integers(0, rate // 2))
        stream.accept_waveform(rate, samples[position : position + length])
        position += length
        while recognizer.is_ready(stream):
            recognizer.decode_streams([stream])
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
    return recognizer.get_result(stream).token_ids


def _in_batch(recognizer: Recognizer, recordings: Sequence[FloatArray], rate: int) -> list[tuple[int, ...]]:
    """All recordings at once, each several times and cut off differently, so that batches are uneven."""
    streams = []
    for copy in range(_BATCH_OF):
        for samples in recordings:
            stream = recognizer.create_stream()
            stream.accept_waveform(rate, samples if copy == 0 else samples[: len(samples) // (copy + 1)])
            stream.input_finished()
            streams.append(stream)
    while any(recognizer.is_ready(stream) for stream in streams):
        recognizer.decode_streams(streams)
    return [recognizer.get_result(stream).token_ids for stream in streams[: len(recordings)]]
