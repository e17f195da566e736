"""What must not change a text: how the audio is cut, other streams, threads; in FP32 also backend and passes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.recognition.recognizer import Recognizer

_SEED = 20
_BATCH_OF = 3


@dataclass(frozen=True)
class Check:
    """One property of one variant, whether it holds, and what was seen."""

    name: str
    variant: str
    passed: bool
    detail: str


def count_invariances(manifest: Manifest) -> int:
    """How many checks `check_invariances` makes of an artifact."""
    floats = [variant for variant in manifest.variants if variant.is_float]
    passes = sum(manifest.variant(variant)["encoder"].passes is not None for variant in floats)
    return 3 * len(manifest.variants) + passes + max(len(floats) - 1, 0)


def check_invariances(manifest: Manifest, recordings: Sequence[FloatArray]) -> Iterator[Check]:
    """Check every variant of an artifact on mono recordings at the model's rate.

    Yields:
        One `Check` for each property and variant.
    """
    rate = manifest.frontend.sample_rate
    floats: dict[Variant, list[tuple[int, ...]]] = {}
    for variant in manifest.variants:
        recognizer = Recognizer.open(manifest.root, RecognizerOptions().of_variant(variant))
        whole = [recognizer.transcribe(samples, rate).token_ids for samples in recordings]
        live = [_live(recognizer, [samples], rate) for samples in recordings]
        pieces = [_live(recognizer, _pieces(samples, rate), rate) for samples in recordings]
        yield _compare("cut of the audio", variant, live, pieces)
        # Quantized, a pass rounds otherwise than single steps do.
        if variant.is_float and recognizer.transducer.segments > 1:
            yield _compare("several segments in one pass", variant, live, whole)
        yield _compare("other streams in the batch", variant, whole, _in_batch(recognizer, recordings, rate))
        single = Recognizer.open(manifest.root, RecognizerOptions(num_threads=1).of_variant(variant))
        alone = [single.transcribe(samples, rate).token_ids for samples in recordings]
        yield _compare("number of threads", variant, whole, alone)
        if variant.is_float:
            floats[variant] = whole
    for first, second in pairwise(floats):
        yield _compare(f"engine (against {first})", second, floats[first], floats[second])


def _compare(name: str, variant: Variant, expected: list[tuple[int, ...]], found: list[tuple[int, ...]]) -> Check:
    differing = sum(a != b for a, b in zip(expected, found, strict=True))
    tokens = sum(map(len, expected))
    detail = f"{len(expected)} recordings, {tokens} tokens, {differing} recordings differ"
    return Check(name, str(variant), differing == 0, detail)


def _pieces(samples: FloatArray, rate: int) -> Iterator[FloatArray]:
    """Pieces of random length, from none to half a second."""
    random = np.random.default_rng(_SEED)
    position = 0
    while position < len(samples):
        length = int(random.integers(0, rate // 2))
        yield samples[position : position + length]
        position += length


def _live(recognizer: Recognizer, pieces: Iterable[FloatArray], rate: int) -> tuple[int, ...]:
    """The pieces decoded as they come, a segment at a time."""
    stream = recognizer.create_stream()
    for piece in pieces:
        stream.accept_waveform(rate, piece)
        recognizer.decode_ready([stream])
    stream.input_finished()
    recognizer.decode_ready([stream])
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
    recognizer.decode_ready(streams)
    return [recognizer.get_result(stream).token_ids for stream in streams[: len(recordings)]]
