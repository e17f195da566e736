"""Many streams through everything that may happen to them, for a bounded time: each text is its undisturbed twin's."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from emf.runtime import Recognizer, Stream
from emf.runtime.arrays import FloatArray
from tests.runtime.conftest import Load
from tests.signals import SAMPLE_RATE, speech_like

SECONDS = float(os.environ.get("EMF_SOAK_SECONDS", "10"))
STREAMS = 200
RECORDINGS = [speech_like(0.4 + 0.3 * number, number) for number in range(6)]


@dataclass
class Caller:
    """A stream that is cut, moved and cut into segments, and what it has said."""

    stream: Stream
    audio: FloatArray
    fed: int = 0
    token_ids: list[int] = field(default_factory=list)

    def feed(self, random: np.random.Generator) -> None:
        size = int(random.integers(0, 6000))
        self.stream.accept_waveform(SAMPLE_RATE, self.audio[self.fed : self.fed + size])
        self.fed += size
        if self.fed >= len(self.audio):
            self.stream.input_finished()

    def move(self, recognizer: Recognizer) -> None:
        self.stream = recognizer.restore_stream(self.stream.snapshot())

    def begin_segment(self, recognizer: Recognizer) -> None:
        """Only where all hypotheses agree: there a cut changes nothing of what follows."""
        if all(not hypothesis.tokens for hypothesis in self.stream.state.search.hypotheses):
            self.token_ids += recognizer.get_result(self.stream).token_ids
            recognizer.reset(self.stream)


@pytest.mark.slow
def test_two_hundred_streams(load: Load, backend: str) -> None:
    """New streams take the place of those that ended until the time is over; then all are brought to their end."""
    recognizer, random = load(backend=backend, beam_width=2, step_max_tokens=5), np.random.default_rng(11)
    twins = [recognizer.transcribe(audio, SAMPLE_RATE).token_ids for audio in RECORDINGS]
    chosen = [int(number) for number in random.integers(0, len(RECORDINGS), STREAMS)]
    callers = [Caller(recognizer.create_stream(), RECORDINGS[number]) for number in chosen]
    end, ended = time.monotonic() + SECONDS, 0
    while callers:
        events: list[Callable[[Caller], None]] = [
            lambda caller: caller.feed(random),
            lambda caller: caller.move(recognizer),
            lambda caller: caller.begin_segment(recognizer),
        ]
        for caller in callers:
            event = events[random.choice(3, p=[0.8, 0.1, 0.1])]
            if event is not events[0] or not caller.stream.state.audio.finished:
                event(caller)
        size = int(random.integers(1, len(callers) + 1))
        some = [callers[number] for number in random.permutation(len(callers))[:size]]
        recognizer.decode_streams([caller.stream for caller in some])
        for caller, number in [(c, n) for c, n in zip(callers, chosen, strict=True) if c.stream.is_final]:
            found = (*caller.token_ids, *recognizer.get_result(caller.stream).token_ids)
            assert found == twins[number]
            ended += 1
        left = [(c, n) for c, n in zip(callers, chosen, strict=True) if not c.stream.is_final]
        if time.monotonic() < end:
            for number in random.integers(0, len(RECORDINGS), len(callers) - len(left)):
                left.append((Caller(recognizer.create_stream(), RECORDINGS[number]), int(number)))
        callers, chosen = [c for c, _ in left], [n for _, n in left]
    assert ended >= STREAMS
