"""Time recordings with several segments in one pass against the loop chunk by chunk, and compare what they say.

python tools/measure_passes.py ARTIFACT AUDIO... [--join 60] [--num-threads 2] [--rounds 3]

Each variant of the artifact, with greedy and beam search: seconds that `Recognizer.transcribe` takes, seconds that the
same audio takes when it is fed and decoded a segment at a time, and how many tokens of the one stand in the other.
"""

import argparse
import difflib
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from emf.runtime import Recognizer, Result
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.speech.recordings import read_recordings

_UNLIMITED = 1e6
Tokens: TypeAlias = tuple[int, ...]


def chunk_by_chunk(recognizer: Recognizer, samples: FloatArray) -> Result:
    """The recording as a live stream gives it, decoded as it comes."""
    length, rate = recognizer.transducer.manifest.samples_per_step, recognizer.sample_rate
    stream = recognizer.create_stream()
    for begin in range(0, len(samples), length):
        stream.accept_waveform(rate, samples[begin : begin + length])
        recognizer.decode_ready([stream])
    stream.input_finished()
    recognizer.decode_ready([stream])
    return recognizer.get_result(stream)


def timed(decode: Callable[[FloatArray], Result], recordings: Sequence[FloatArray]) -> tuple[float, list[Tokens]]:
    """Seconds for all recordings, and the tokens of each."""
    begin = time.perf_counter()
    results = [decode(samples) for samples in recordings]
    return time.perf_counter() - begin, [result.token_ids for result in results]


def in_common(first: Tokens, second: Tokens) -> int:
    """How many tokens of the first stand in the second, in order."""
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks())


def measure(recognizer: Recognizer, recordings: Sequence[FloatArray], rounds: int) -> str:
    """A line: the best of some interleaved rounds, the first calls not counted."""
    ways = (partial(chunk_by_chunk, recognizer), partial(recognizer.transcribe, sample_rate=recognizer.sample_rate))
    for way in ways:
        way(recordings[0])
    found = [[timed(way, recordings) for way in ways] for _ in range(rounds)]
    loop, passes = (min(seconds for seconds, _ in column) for column in zip(*found, strict=True))
    pairs = list(zip(*(tokens for _, tokens in found[0]), strict=True))
    count = sum(len(first) for first, _ in pairs)
    share = sum(in_common(first, second) for first, second in pairs) / max(1, count)
    return f"{loop:8.2f} {passes:8.2f} {passes / loop:6.2f} {count:7d} {100 * share:7.2f} %"


def show(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("audio", type=Path, nargs="+")
    parser.add_argument("--join", type=float, help="one recording of this many seconds, not each file by itself")
    parser.add_argument("--num-threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["greedy", "beam"])
    parser.add_argument("--variants", nargs="+", default=[], help="such as openvino/int8")
    options = parser.parse_args()
    manifest = read_manifest(options.artifact)
    rate = manifest.frontend.sample_rate
    recordings = read_recordings(options.audio, rate, options.join or _UNLIMITED)
    if options.join:
        recordings = [np.concatenate(recordings)[: round(options.join * rate)]]
    seconds = sum(map(len, recordings)) / rate
    show(f"{seconds:.0f} s of audio in {len(recordings)} recordings, {options.num_threads} threads")
    show(f"{'variant':28}  chunks   passes  ratio  tokens  common")
    for variant in manifest.variants:
        if options.variants and str(variant) not in options.variants:
            continue
        for method in options.methods:
            chosen = RecognizerOptions(decoding_method=method, num_threads=options.num_threads).of_variant(variant)
            recognizer = Recognizer.open(options.artifact, chosen)
            show(f"{f'{variant} {method}':28}{measure(recognizer, recordings, options.rounds)}")


if __name__ == "__main__":
    main()
