"""Streams in an engine say what each says alone, whoever feeds them and however; nothing is lost at the end."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from threading import enumerate as running_threads
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emf.runtime import EndpointRules, Engine, Overloaded, Recognizer, Result, StreamClosed, StreamHandle, UsageError
from emf.runtime.arrays import FloatArray
from tests.runtime.conftest import Load
from tests.signals import SAMPLE_RATE, speech_like

PATIENCE = 60.0
RECORDINGS = [speech_like(seconds, seed) for seed, seconds in enumerate([2.0, 0.7, 1.4, 0.05, 1.1, 0.0])]


@pytest.fixture(scope="module")
def recognizer(load: Load) -> Recognizer:
    return load(backend="onnxruntime", beam_width=3, step_max_tokens=5)


@pytest.fixture(scope="module")
def expected(recognizer: Recognizer) -> list[Result]:
    return [recognizer.transcribe(audio, SAMPLE_RATE) for audio in RECORDINGS]


def cut(audio: FloatArray, random: np.random.Generator) -> list[FloatArray]:
    return np.split(audio, np.sort(random.integers(0, len(audio) + 1, random.integers(0, 9))))


def same(found: Sequence[Result], expected: Sequence[Result]) -> bool:
    return [(r.text, r.token_ids, r.timestamps, r.is_final) for r in found] == [
        (r.text, r.token_ids, r.timestamps, True) for r in expected
    ]


@pytest.mark.parametrize("num_workers", [1, 2])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8)
def test_interleaved_by_one_thread(recognizer: Recognizer, num_workers: int, seed: int) -> None:
    """Pieces of all streams in random order."""
    random = np.random.default_rng(seed)
    expected = [recognizer.transcribe(audio, SAMPLE_RATE) for audio in RECORDINGS]
    with Engine(recognizer, max_streams=6, max_batch=4, max_wait_ms=1.0, num_workers=num_workers) as engine:
        handles = [engine.open() for _ in RECORDINGS]
        pieces = [cut(audio, random) for audio in RECORDINGS]
        while any(pieces):
            index = random.choice([i for i, left in enumerate(pieces) if left])
            handles[index].accept_waveform(SAMPLE_RATE, pieces[index].pop(0))
            if not pieces[index]:
                handles[index].input_finished()
        assert same([handle.result(PATIENCE) for handle in handles], expected)


def test_as_many_workers_as_can_decode_apart(load: Load, backend: str) -> None:
    """Unless their number is given."""
    recognizer = load(backend=backend, num_threads=2)
    names = [f"emf-worker-{n}" for n in range(2 if backend == "onnxruntime" else 1)]
    for wanted, expected in [(None, names), (1, names[:1])]:
        before = {thread.ident for thread in running_threads()}
        with Engine(recognizer, max_streams=2, num_workers=wanted):
            begun = [thread for thread in running_threads() if thread.ident not in before]
            assert sorted(thread.name for thread in begun if "worker" in thread.name) == expected


def test_from_many_threads(load: Load, expected: list[Result], backend: str) -> None:
    recognizer = load(backend=backend, beam_width=3, step_max_tokens=5)
    with Engine(recognizer, max_streams=24, num_workers=2) as engine, ThreadPoolExecutor(8) as pool:

        def speak(number: int) -> Result:
            random = np.random.default_rng(number)
            with engine.open() as handle:
                for piece in cut(RECORDINGS[number % len(RECORDINGS)], random):
                    handle.accept_waveform(SAMPLE_RATE, piece)
                handle.input_finished()
                *_, last = handle.results(PATIENCE)
            return last

        assert same(list(pool.map(speak, range(24))), expected * 4)
        metrics = engine.metrics()
    assert (metrics.streams, metrics.admitted, metrics.finished) == (0, 24, 24)
    assert (metrics.refused, metrics.failed, metrics.abandoned, metrics.timed_out) == (0, 0, 0, 0)


def test_from_an_event_loop(recognizer: Recognizer, expected: list[Result]) -> None:
    async def speak(engine: Engine, audio: FloatArray) -> Result:
        handle = engine.open()

        async def feed() -> None:
            for piece in cut(audio, np.random.default_rng(len(audio))):
                handle.accept_waveform(SAMPLE_RATE, piece)
                await asyncio.sleep(0)
            handle.input_finished()

        feeder = asyncio.create_task(feed())
        results = [result async for result in handle]
        await feeder
        return results[-1]

    async def main() -> list[Result]:
        with Engine(recognizer, max_streams=6) as engine:
            everyone = asyncio.gather(*[speak(engine, audio) for audio in RECORDINGS])
            return await asyncio.wait_for(everyone, PATIENCE)

    assert same(asyncio.run(main()), expected)


def test_callbacks(recognizer: Recognizer, expected: list[Result]) -> None:
    """All results arrive, though nobody holds a handle any more and one callback fails."""
    got: dict[int, list[Result]] = {index: [] for index in range(len(RECORDINGS))}

    def collect(index: int) -> Callable[[Result], None]:
        def on_result(result: Result) -> None:
            got[index].append(result)
            if index == 0:
                raise ValueError("a callback that fails")

        return on_result

    with Engine(recognizer, max_streams=6) as engine:
        for index, audio in enumerate(RECORDINGS):
            handle = engine.open(on_result=collect(index))
            handle.accept_waveform(SAMPLE_RATE, audio)
            handle.input_finished()
            with pytest.raises(UsageError, match="on_result"):
                next(handle.results())
    assert same([got[index][-1] for index in range(len(RECORDINGS))], expected)
    assert all(not result.is_final for results in got.values() for result in results[:-1])


def alone(recognizer: Recognizer, audio: FloatArray) -> Iterator[Result]:
    """The last result of each segment, by the plain loop."""
    stream = recognizer.create_stream()
    stream.accept_waveform(SAMPLE_RATE, audio)
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        if recognizer.is_endpoint(stream) and not stream.is_final:
            yield recognizer.reset(stream)
    yield recognizer.get_result(stream)


@pytest.mark.parametrize("stable_delay", [None, 0.2])
def test_segments_begin_and_end_by_themselves(load: Load, stable_delay: float | None) -> None:
    recognizer = load(
        backend="onnxruntime", beam_width=3, stable_delay=stable_delay, endpoint=EndpointRules(0.3, 0.2, max_length=0.8)
    )
    audio = np.concatenate([speech_like(1.5, 1), np.zeros(8000, np.float32), speech_like(1.5, 2)])
    expected = list(alone(recognizer, audio))
    assert len(expected) > 2
    with Engine(recognizer, max_streams=1) as engine, engine.open() as handle:
        for piece in np.split(audio, range(1600, len(audio), 1600)):
            handle.accept_waveform(SAMPLE_RATE, piece)
        handle.input_finished()
        last = {result.segment: result for result in handle.results(PATIENCE)}
    texts = [(r.text, r.start_time) for r in last.values() if r.token_ids]
    assert texts == [(r.text, r.start_time) for r in expected if r.token_ids]
    assert all(result.stable_text == result.text for result in last.values())


def test_closing_loses_nothing(recognizer: Recognizer, expected: list[Result]) -> None:
    """Streams whose callers had not finished yet are decoded to their last sample."""
    with Engine(recognizer, max_streams=6) as engine:
        handles = [engine.open() for _ in RECORDINGS]
        for handle, audio in zip(handles, RECORDINGS, strict=True):
            handle.accept_waveform(SAMPLE_RATE, audio)
    assert same([handle.result(0.0) for handle in handles], expected)
    with pytest.raises(StreamClosed, match="no more streams"):
        engine.open()
    with pytest.raises(StreamClosed):
        handles[0].accept_waveform(SAMPLE_RATE, RECORDINGS[0])
    engine.close()


def test_closing_with_grace_lets_streams_end_by_themselves(recognizer: Recognizer, expected: list[Result]) -> None:
    engine = Engine(recognizer, max_streams=1)
    handle = engine.open()
    handle.accept_waveform(SAMPLE_RATE, RECORDINGS[0][:9000])
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(engine.close, PATIENCE)
        while not is_closing(engine):
            assert not closing.done()
        handle.accept_waveform(SAMPLE_RATE, RECORDINGS[0][9000:])
        handle.input_finished()
        closing.result(PATIENCE)
    assert same([handle.result(0.0)], expected[:1])


def is_closing(engine: Engine) -> bool:
    """Whether a full engine refuses streams for good."""
    try:
        engine.open()
    except Overloaded:
        return False
    except StreamClosed:
        return True
    raise AssertionError("the engine was full")


@given(at=st.integers(0, len(RECORDINGS[0])))
@settings(max_examples=8)
def test_a_stream_moves_to_another_engine(recognizer: Recognizer, at: int) -> None:
    """The snapshot is taken wherever decoding happens to be, with audio waiting."""
    audio = RECORDINGS[0]
    with Engine(recognizer, max_streams=2) as first, Engine(recognizer, max_streams=2) as second:
        with first.open() as handle:
            handle.accept_waveform(SAMPLE_RATE, audio[:at])
            blob = handle.snapshot()
        moved = second.open(recognizer.restore_stream(blob))
        moved.accept_waveform(SAMPLE_RATE, audio[at:])
        moved.input_finished()
        result = moved.result(PATIENCE)
    assert result.token_ids == recognizer.transcribe(audio, SAMPLE_RATE).token_ids
    assert first.metrics().streams == second.metrics().streams == 0


def test_results_while_audio_comes_in(recognizer: Recognizer) -> None:
    """Each result is that of the plain loop after as many steps, none comes before its audio."""
    audio, loop = RECORDINGS[0], recognizer.create_stream()
    end_sample = recognizer.settings.extractor.end_sample
    with Engine(recognizer, max_streams=1) as engine, engine.open() as handle:
        results, fed = handle.results(PATIENCE), 0
        for step in range(5):
            handle.accept_waveform(SAMPLE_RATE, audio[fed : end_sample(step)])
            loop.accept_waveform(SAMPLE_RATE, audio[fed : end_sample(step)])
            fed = end_sample(step)
            recognizer.decode_streams([loop])
            assert next(results) == recognizer.get_result(loop)
        assert handle.latest == recognizer.get_result(loop)


def test_a_slow_callback_delays_nobody(recognizer: Recognizer) -> None:
    entered, leave = Event(), Event()

    def wait(_: Any) -> None:
        entered.set()
        leave.wait(PATIENCE)

    with Engine(recognizer, max_streams=2) as engine:
        slow: StreamHandle = engine.open(on_result=wait)
        slow.accept_waveform(SAMPLE_RATE, RECORDINGS[0])
        slow.input_finished()
        assert entered.wait(PATIENCE)
        other = engine.open()
        other.accept_waveform(SAMPLE_RATE, RECORDINGS[1])
        other.input_finished()
        assert other.result(PATIENCE).is_final
        assert slow.result(PATIENCE).is_final
        leave.set()
