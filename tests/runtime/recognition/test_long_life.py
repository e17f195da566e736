"""A long stream costs, at each chunk, what a short one costs; streams that are gone leave nothing."""

import gc
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from emf.runtime import Engine, Recognizer, Result, Stream
from emf.runtime.audio.resampler import Resampler
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.engine.result_queue import ResultQueue
from emf.runtime.engine.slot import Slot
from emf.runtime.inference.encoder_state import EncoderState
from emf.runtime.recognition.transcript import Transcript
from emf.runtime.search.hypothesis import Hypothesis, SearchState
from emf.runtime.search.methods import METHODS
from tests.runtime.conftest import Load
from tests.signals import SAMPLE_RATE, speech_like

SEGMENT = 2560
# The same audio again and again, a whole number of segments long, so that every round asks for the same work.
ROUND = speech_like(12 * SEGMENT / SAMPLE_RATE, 1)
ROUNDS = 16
SHORT = ROUND[: 3 * SEGMENT]


def operations(run: Callable[[], Any]) -> int:
    """Operations of the interpreter, all functions called included: work, without a clock."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("method", METHODS)
def test_a_chunk_and_its_result_cost_the_same_however_long_the_stream(load: Load, method: str) -> None:
    recognizer = load(
        backend="onnxruntime", decoding_method=method, beam_width=3, step_max_tokens=5, endpoint=None, stable_delay=0.5
    )
    stream, costs = recognizer.create_stream(), []

    def step() -> None:
        recognizer.decode_streams([stream])
        recognizer.get_result(stream)
        recognizer.is_endpoint(stream)

    for number in range(ROUNDS):
        stream.accept_waveform(SAMPLE_RATE, ROUND)
        measured = number in (2, ROUNDS - 1)
        costs.append(0)
        while recognizer.is_ready(stream):
            if measured:
                costs[-1] += operations(step)
            else:
                step()
    assert len(stream.state.emitted) > (10 if method == "greedy" else 100)
    assert costs[-1] < 1.3 * costs[2]


def lives(recognizer: Recognizer, count: int) -> None:
    for _ in range(count):
        stream = recognizer.create_stream()
        stream.accept_waveform(8_000, SHORT)
        stream.input_finished()
        while recognizer.is_ready(stream):
            recognizer.decode_streams([stream])
            recognizer.get_result(stream)


def lives_in_an_engine(recognizer: Recognizer, count: int) -> None:
    """Half of them come to their end, the other half are lost on the way."""
    with Engine(recognizer, max_streams=2) as engine:
        for number in range(count):
            handle = engine.open()
            handle.accept_waveform(SAMPLE_RATE, SHORT)
            if number % 2:
                handle.input_finished()
                handle.result(60.0)


def census() -> Counter[str]:
    """How many of the objects that make up a stream there are."""
    gc.collect()
    kinds = (
        Stream,
        EncoderState,
        SearchState,
        Hypothesis,
        Transcript,
        SampleBuffer,
        Resampler,
        Slot,
        ResultQueue,
        Result,
    )
    return Counter(type(item).__name__ for item in gc.get_objects() if issubclass(type(item), kinds))


@pytest.mark.parametrize("live", [lives, lives_in_an_engine])
def test_streams_that_are_gone_leave_nothing(load: Load, live: Callable[[Recognizer, int], None]) -> None:
    recognizer = load(backend="onnxruntime", beam_width=3, step_max_tokens=5)
    live(recognizer, 2)
    before = census()
    live(recognizer, 10)
    assert census() == before
