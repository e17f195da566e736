"""What an engine refuses, whom it lets go, and that a stream in trouble is in trouble alone."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Condition, Event

import numpy as np
import pytest

from emf.runtime import AudioError, Engine, EngineMetrics, Overloaded, Recognizer, Stream, StreamClosed, UsageError
from tests.runtime.conftest import Load
from tests.runtime.engine.manual_clock import ManualClock
from tests.signals import SAMPLE_RATE, speech_like

PATIENCE = 60.0
AUDIO = speech_like(1.0, 1)
SEGMENT = 2560
WINDOW = 3200


@pytest.fixture(scope="module")
def recognizer(load: Load) -> Recognizer:
    return load(backend="onnxruntime", beam_width=2, step_max_tokens=5, frontend="windowed")


class Gate:
    """Stands before `decode_streams`: notes who comes, and lets nobody pass until it is opened."""

    def __init__(self, decode: Callable[[Sequence[Stream], bool], None]) -> None:
        self._decode = decode
        self.open, self.reached = Event(), Event()
        self.batches: list[int] = []
        self.broken: Callable[[Stream], bool] = lambda stream: False

    def __call__(self, streams: Sequence[Stream], alone: bool = False) -> None:
        self.batches.append(len(streams))
        self.reached.set()
        assert self.open.wait(PATIENCE)
        if any(map(self.broken, streams)):
            raise FloatingPointError("NaN in a stream")
        self._decode(streams, alone)


@pytest.fixture
def gate(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Gate]]:
    """Puts a gate before the recognizer: after an engine has warmed up."""
    gates: list[Gate] = []

    def make() -> Gate:
        gates.append(Gate(recognizer.decode_streams))
        monkeypatch.setattr(recognizer, "decode_streams", gates[-1])
        return gates[-1]

    yield make
    for made in gates:
        made.open.set()


def until(engine: Engine, holds: Callable[[EngineMetrics], bool]) -> None:
    """Ask until it is so."""
    end = time.monotonic() + PATIENCE
    while not holds(engine.metrics()):
        assert time.monotonic() < end


def test_more_streams_than_the_limit_are_refused(recognizer: Recognizer) -> None:
    with Engine(recognizer, max_streams=2) as engine:
        first, _second = engine.open(), engine.open()
        with pytest.raises(Overloaded, match="at most 2 streams") as caught:
            engine.open()
        assert isinstance(caught.value, RuntimeError)
        first.accept_waveform(SAMPLE_RATE, AUDIO)
        first.input_finished()
        assert first.result(PATIENCE).is_final
        engine.open().close()
        engine.open().close()
        metrics = engine.metrics()
        assert (metrics.admitted, metrics.refused, metrics.abandoned, metrics.finished) == (4, 1, 2, 1)


def test_measured_capacity_refuses_too(recognizer: Recognizer, gate: Callable[[], Gate]) -> None:
    """Batches that take a second each, by the clock, leave no room for another stream."""
    clock = ManualClock()
    with Engine(recognizer, clock=clock) as engine:
        barrier = gate()
        handle = engine.open()
        for step in range(3):
            barrier.reached.clear()
            barrier.open.clear()
            handle.accept_waveform(SAMPLE_RATE, AUDIO[: WINDOW if step == 0 else SEGMENT])
            assert barrier.reached.wait(PATIENCE)
            clock.advance(1.0)
            barrier.open.set()
            until(engine, lambda metrics, step=step: metrics.chunks == step + 1)  # type: ignore[misc]
        with pytest.raises(Overloaded):
            engine.open()
        assert engine.metrics().deadline_misses == 3
        assert engine.metrics().recent_p99_ms == pytest.approx(1000.0)


def test_a_lost_handle_frees_its_slot(recognizer: Recognizer) -> None:
    with Engine(recognizer, max_streams=1) as engine:
        handle = engine.open()
        handle.accept_waveform(SAMPLE_RATE, AUDIO)
        del handle
        gc.collect()
        assert engine.open() is not None
        assert engine.metrics().abandoned == 1


def test_a_callers_error_frees_its_slot(recognizer: Recognizer) -> None:
    with Engine(recognizer, max_streams=1) as engine:
        with pytest.raises(ZeroDivisionError), engine.open() as handle:
            handle.accept_waveform(SAMPLE_RATE, AUDIO)
            raise ZeroDivisionError
        with engine.open(), pytest.raises(StreamClosed):
            handle.result(PATIENCE)


def test_a_stream_without_audio_is_finished_in_time(recognizer: Recognizer) -> None:
    """What it had said until then is not lost; only those that are silent are meant."""
    clock = ManualClock()
    with Engine(recognizer, max_streams=2, idle_timeout_ms=5_000.0, clock=clock) as engine:
        silent, speaking = engine.open(), engine.open()
        for handle in (silent, speaking):
            handle.accept_waveform(SAMPLE_RATE, AUDIO)
        clock.advance(0.5)
        until(engine, lambda metrics: metrics.queued_seconds == 0.0)
        clock.advance(3.0)
        speaking.accept_waveform(SAMPLE_RATE, AUDIO[:10])
        clock.advance(2.0)
        until(engine, lambda metrics: metrics.timed_out == 1)
        clock.advance(0.1)
        assert silent.result(PATIENCE).token_ids == recognizer.transcribe(AUDIO, SAMPLE_RATE).token_ids
        with pytest.raises(StreamClosed, match="no audio came for 5 seconds"):
            silent.accept_waveform(SAMPLE_RATE, AUDIO)
        assert (engine.metrics().timed_out, engine.metrics().streams) == (1, 1)
        speaking.accept_waveform(SAMPLE_RATE, AUDIO)


def test_a_chunk_waits_for_others_by_the_clock(recognizer: Recognizer, gate: Callable[[], Gate]) -> None:
    clock = ManualClock()
    with Engine(recognizer, max_streams=3, max_wait_ms=50.0, clock=clock) as engine:
        barrier = gate()
        barrier.open.set()
        first, second, _silent = (engine.open() for _ in range(3))
        first.accept_waveform(SAMPLE_RATE, AUDIO[:WINDOW])
        clock.advance(0.049)
        assert not barrier.batches
        second.accept_waveform(SAMPLE_RATE, AUDIO[:WINDOW])
        clock.advance(0.002)
        until(engine, lambda metrics: metrics.chunks == 2)
        assert barrier.batches == [2]
        assert engine.metrics().recent_p50_ms == pytest.approx(26.5)


def test_when_all_are_ready_none_waits(recognizer: Recognizer) -> None:
    """The clock stands still, and yet both are decoded."""
    with Engine(recognizer, max_streams=3, clock=ManualClock()) as engine:
        handles = [engine.open(), engine.open()]
        for handle in handles:
            handle.accept_waveform(SAMPLE_RATE, AUDIO)
        until(engine, lambda metrics: metrics.ready == 0)


def test_the_queue_of_a_stream_is_bounded(recognizer: Recognizer, gate: Callable[[], Gate]) -> None:
    with Engine(recognizer, max_streams=2, max_queue_ms=1000.0) as engine:
        barrier, handle = gate(), engine.open()
        handle.accept_waveform(SAMPLE_RATE, AUDIO)
        assert barrier.reached.wait(PATIENCE)
        with pytest.raises(Overloaded, match="wait to be decoded"):
            handle.accept_waveform(SAMPLE_RATE, AUDIO)
        with pytest.raises(UsageError, match="at once"):
            handle.accept_waveform(SAMPLE_RATE, np.zeros(SAMPLE_RATE + 1, np.float32))
        with ThreadPoolExecutor(1) as pool:
            patient = pool.submit(handle.accept_waveform, SAMPLE_RATE, AUDIO, timeout=PATIENCE)
            barrier.open.set()
            patient.result(PATIENCE)
        handle.input_finished()
        whole = recognizer.transcribe(np.concatenate([AUDIO, AUDIO]), SAMPLE_RATE)
        assert handle.result(PATIENCE).token_ids == whole.token_ids, "what was refused left no trace"


def test_the_queues_of_all_are_bounded(recognizer: Recognizer, gate: Callable[[], Gate]) -> None:
    with Engine(recognizer, max_streams=2, max_total_queue_ms=1500.0) as engine:
        barrier, one, two = gate(), engine.open(), engine.open()
        one.accept_waveform(SAMPLE_RATE, AUDIO)
        with pytest.raises(Overloaded, match="of all"):
            two.accept_waveform(SAMPLE_RATE, AUDIO)
        one.close()
        two.accept_waveform(SAMPLE_RATE, AUDIO)
        barrier.open.set()
        two.input_finished()
        assert two.result(PATIENCE).token_ids == recognizer.transcribe(AUDIO, SAMPLE_RATE).token_ids
        assert engine.metrics().queued_seconds == 0.0


def test_bad_audio_is_its_callers_alone(recognizer: Recognizer) -> None:
    expected = recognizer.transcribe(AUDIO, SAMPLE_RATE).token_ids
    with Engine(recognizer, max_streams=2) as engine:
        handles = [engine.open(), engine.open()]
        for half in np.split(AUDIO, [7000]):
            for handle in handles:
                handle.accept_waveform(SAMPLE_RATE, half)
            for bad in (np.array([0.1, np.nan]), np.array([1e30]), np.array(["a"])):
                with pytest.raises(AudioError):
                    handles[0].accept_waveform(SAMPLE_RATE, bad)
            with pytest.raises(AudioError):
                handles[0].accept_waveform(8_000, half)
        for handle in handles:
            handle.input_finished()
        assert [handle.result(PATIENCE).token_ids for handle in handles] == [expected, expected]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_stream_that_fails_ends_alone(recognizer: Recognizer, gate: Callable[[], Gate], num_workers: int) -> None:
    expected = recognizer.transcribe(AUDIO, SAMPLE_RATE).token_ids
    with Engine(recognizer, max_streams=4, num_workers=num_workers) as engine:
        barrier = gate()
        streams = [recognizer.create_stream() for _ in range(4)]
        barrier.broken = lambda stream: stream is streams[2] and stream.state.clock.step == 3
        handles = [engine.open(stream) for stream in streams]
        for handle in handles:
            handle.accept_waveform(SAMPLE_RATE, AUDIO)
            handle.input_finished()
        barrier.open.set()
        with pytest.raises(FloatingPointError, match="NaN"):
            handles.pop(2).result(PATIENCE)
        assert [handle.result(PATIENCE).token_ids for handle in handles] == [expected] * 3
        metrics = engine.metrics()
        assert (metrics.failed, metrics.finished, metrics.streams) == (1, 3, 0)


class BreakingClock(ManualClock):
    """A clock that nobody can wait by once it is broken."""

    broken = False

    def wait(self, condition: Condition, seconds: float | None) -> None:
        if not self.broken:
            super().wait(condition, seconds)
        if self.broken:
            raise LookupError("a bug")


def test_an_engine_that_breaks_down_keeps_nobody_waiting(recognizer: Recognizer) -> None:
    clock = BreakingClock()
    with Engine(recognizer, max_streams=2, clock=clock) as engine:
        handles = [engine.open(), engine.open()]
        clock.broken = True
        handles[0].accept_waveform(SAMPLE_RATE, AUDIO)
        for handle in handles:
            with pytest.raises(LookupError, match="a bug"):
                handle.result(PATIENCE)
        with pytest.raises(StreamClosed):
            engine.open()


def test_closing_a_stream_while_it_is_decoded(recognizer: Recognizer, gate: Callable[[], Gate]) -> None:
    with Engine(recognizer, max_streams=1) as engine:
        barrier, handle = gate(), engine.open()
        handle.accept_waveform(SAMPLE_RATE, AUDIO)
        assert barrier.reached.wait(PATIENCE)
        handle.close()
        handle.close()
        other = engine.open()
        barrier.open.set()
        other.accept_waveform(SAMPLE_RATE, AUDIO)
        other.input_finished()
        assert other.result(PATIENCE).token_ids == recognizer.transcribe(AUDIO, SAMPLE_RATE).token_ids
        with pytest.raises(StreamClosed):
            handle.snapshot()
        metrics = engine.metrics()
        assert (metrics.abandoned, metrics.finished, metrics.queued_seconds) == (1, 1, 0.0)


def test_queues_shorter_than_a_segment_make_no_sense(recognizer: Recognizer) -> None:
    with pytest.raises(UsageError, match="at least a segment"):
        Engine(recognizer, max_queue_ms=10.0)
