"""Compare the batched search with the reference on an artifact: equal texts, and milliseconds a chunk and stream.

Example:
    python tools/compare_searches.py artifacts/base librispeech/manifest.tsv --precision int8 --streams 16 --seconds 60

Both decode the same streams in turn, a segment of each at a time, on one thread. `unequal` counts the steps of streams
after which tokens or times differ; `score_difference` is the greatest of scores: the two put other hypotheses into one
call of the joiner, which may round otherwise. What is timed is the search alone, without predictor and joiner.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np

from emf.runtime import Recognizer
from emf.runtime.arrays import FloatArray, IdArray
from emf.runtime.recognition import batch_step
from emf.runtime.recognition.stream import Stream
from emf.runtime.search.batched.advance import advance_batch
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.model import Joined, Model
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import Advance
from emf.runtime.search.run import advance as advance_one_by_one
from emf.runtime.speech.recordings import read_recordings


class Stopwatch:
    """A search whose own time is added up, without that of the model that it calls; itself the model in between."""

    def __init__(self, step: Advance) -> None:
        self._step, self._model_seconds, self.seconds = step, 0.0, 0.0
        self._model: Model

    def __call__(
        self, encodings: FloatArray, states: Sequence[SearchState], model: Model, options: SearchOptions
    ) -> list[SearchState]:
        """See `Advance`."""
        self._model, self._model_seconds, begin = model, 0.0, time.perf_counter()
        found = self._step(encodings, states, self, options)
        self.seconds += time.perf_counter() - begin - self._model_seconds
        return found

    def predict(self, tokens: IdArray, states: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Model`."""
        begin = time.perf_counter()
        answer = self._model.predict(tokens, states)
        self._model_seconds += time.perf_counter() - begin
        return answer

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        """See `Model`."""
        begin = time.perf_counter()
        answer = self._model.join(encodings, predictions, temperature, top_k)
        self._model_seconds += time.perf_counter() - begin
        return answer


def decode(recognizer: Recognizer, step: Advance, streams: Sequence[Stream]) -> float:
    """Decode a segment of every stream with a search; the search's own seconds."""
    timed = Stopwatch(step)
    with patch.object(batch_step, "advance", timed):
        recognizer.decode_streams(streams)
    return timed.seconds


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("audio", type=Path, nargs="+", help="sound files, or manifests that list them")
    parser.add_argument("--backend")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--decoding-method", default="beam")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0, help="audio of every stream")
    options = parser.parse_args()
    recognizer = Recognizer.load(
        options.artifact,
        backend=options.backend,
        precision=options.precision,
        decoding_method=options.decoding_method,
        num_threads=1,
    )
    rate, count = recognizer.sample_rate, options.streams
    audio = np.concatenate(read_recordings(options.audio, rate, count * options.seconds))
    length = round(options.seconds * rate)
    searches: dict[str, Advance] = {"batched": advance_batch, "reference": advance_one_by_one}
    streams = {name: [recognizer.create_stream() for _ in range(count)] for name in searches}
    for batch in streams.values():
        for index, stream in enumerate(batch):
            stream.accept_waveform(rate, np.roll(audio, -index * length)[:length])
            stream.input_finished()
    seconds, steps, unequal, score = dict.fromkeys(searches, 0.0), 0, 0, 0.0
    while recognizer.is_ready(streams["batched"][0]):
        for name, step in searches.items():
            seconds[name] += decode(recognizer, step, streams[name])
        steps += 1
        for pair in zip(*streams.values(), strict=True):
            one, other = (recognizer.get_result(stream) for stream in pair)
            unequal += (one.token_ids, one.timestamps) != (other.token_ids, other.timestamps)
            score = max(score, abs(one.score - other.score))
    tokens = sum(len(recognizer.get_result(stream).token_ids) for stream in streams["batched"])
    figures = {f"{name}_ms": round(1e3 * spent / steps / count, 3) for name, spent in seconds.items()}
    report = {"streams": count, "steps": steps, "tokens": tokens, "unequal": unequal, "score_difference": score}
    sys.stdout.write(json.dumps(report | figures) + "\n")


if __name__ == "__main__":
    main()
