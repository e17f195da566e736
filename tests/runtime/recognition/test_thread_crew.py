"""The crew: even groups, errors that leave no work behind, and the same texts as one thread alone."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import Recognizer
from emf.runtime.arrays import FloatArray
from emf.runtime.audio.features import WindowedFeatures
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.recognition.stream import Stream
from emf.runtime.recognition.thread_crew import ThreadCrew
from tests.signals import speech_like


def nothing() -> Any:
    raise AssertionError("no model is needed")


@given(st.integers(1, 300), st.integers(1, 9))
def test_groups_are_even_and_keep_the_order(count: int, threads: int) -> None:
    crew, items = ThreadCrew(threads, nothing), list(range(count))
    if not crew.is_worth(count):
        assert count < threads
        return
    groups = crew.groups(items)
    assert [item for group in groups for item in group] == items
    assert len(groups) % threads == 0 or len(groups) == count
    sizes = [len(group) for group in groups]
    assert max(sizes) - min(sizes) <= 1 and max(sizes) <= 16


def test_work_runs_side_by_side() -> None:
    barrier = threading.Barrier(3, timeout=60)
    assert len(ThreadCrew(3, nothing).run(lambda _: barrier.wait(), [1, 2, 3])) == 3


def test_results_come_in_the_order_of_the_items() -> None:
    assert ThreadCrew(2, nothing).run(lambda item: item * item, list(range(20))) == [item * item for item in range(20)]


def test_the_first_error_is_raised_after_all_work_ended() -> None:
    done = []

    def work(item: int) -> None:
        if item in (1, 2):
            raise ValueError(str(item))
        done.append(item)

    with pytest.raises(ValueError, match="1"):
        ThreadCrew(2, nothing).run(work, [0, 1, 2, 3])
    assert sorted(done) == [0, 3]


def test_the_model_is_opened_once_and_late() -> None:
    opened = []

    def open_model() -> Any:
        opened.append(1)
        return object()

    crew = ThreadCrew(2, open_model)
    assert not opened
    assert crew.transducer is crew.transducer and opened == [1]


def test_threads_that_need_the_model_at_once_open_it_once() -> None:
    opened, barrier = [], threading.Barrier(4, timeout=60)

    def open_model() -> Any:
        opened.append(1)
        time.sleep(0.1)
        return object()

    crew = ThreadCrew(2, open_model)

    def ask(_: int) -> object:
        barrier.wait()
        return crew.transducer

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == len(opened) == 1


@pytest.fixture
def streams_of(tiny_artifact: Path) -> Callable[[int], tuple[Recognizer, list[Stream]]]:
    def make(threads: int) -> tuple[Recognizer, list[Stream]]:
        recognizer = Recognizer.load(tiny_artifact, backend="onnxruntime", num_threads=threads)
        streams = [recognizer.create_stream() for _ in range(5)]
        for seed, stream in enumerate(streams):
            stream.accept_waveform(recognizer.sample_rate, speech_like(2.0 + seed / 10, seed))
            stream.input_finished()
        return recognizer, streams

    return make


def decode(recognizer: Recognizer, streams: Sequence[Stream]) -> list[tuple[int, ...]]:
    while any(recognizer.is_ready(stream) for stream in streams):
        recognizer.decode_streams(streams)
    return [recognizer.get_result(stream).token_ids for stream in streams]


def test_a_crew_gives_the_tokens_of_one_thread(streams_of: Callable[[int], tuple[Recognizer, list[Stream]]]) -> None:
    one, crew = decode(*streams_of(1)), decode(*streams_of(3))
    assert any(one) and crew == one


def test_callers_decode_alone_side_by_side(
    streams_of: Callable[[int], tuple[Recognizer, list[Stream]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each on its own thread: nothing is handed to the crew's threads, and the tokens stay."""
    expected = decode(*streams_of(1))
    recognizer, streams = streams_of(3)
    assert recognizer.callers_at_once == 3 and streams_of(1)[0].callers_at_once == 1

    def refuse(*_: object) -> None:
        raise AssertionError("a call that decodes alone needs no crew")

    monkeypatch.setattr(ThreadCrew, "run", refuse)

    def decode_alone(stream: Stream) -> tuple[int, ...]:
        while recognizer.is_ready(stream):
            recognizer.decode_streams([stream], alone=True)
        return recognizer.get_result(stream).token_ids

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(decode_alone, streams)) == expected


def test_an_error_in_one_group_leaves_every_stream_as_it_was(
    streams_of: Callable[[int], tuple[Recognizer, list[Stream]]],
) -> None:
    recognizer, streams = streams_of(2)
    recognizer.decode_streams(streams)
    before = [stream.snapshot() for stream in streams]

    class Broken(WindowedFeatures):
        def extract(self, buffer: SampleBuffer, step: int) -> FloatArray:
            raise RuntimeError("broken stream")

    manifest, whole = recognizer.transducer.manifest, streams[-1].settings
    streams[-1].settings = replace(whole, extractor=Broken(manifest.frontend, manifest.geometry))
    with pytest.raises(RuntimeError, match="broken stream"):
        recognizer.decode_streams(streams)
    streams[-1].settings = whole
    assert [stream.snapshot() for stream in streams] == before
    recognizer.decode_streams(streams)
    assert [stream.state.clock.step for stream in streams] == [2] * len(streams)
