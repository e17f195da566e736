"""How an engine ends when nobody closes it: the process ends, it is dropped, or decoding breaks in an unusual way."""

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from emf.runtime import Engine, StreamClosed
from emf.runtime.arrays import FloatArray
from emf.runtime.audio.features import WindowedFeatures
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.recognition.result import Result
from tests.runtime.conftest import Load
from tests.signals import SAMPLE_RATE, speech_like

Threads: TypeAlias = Callable[[], list[threading.Thread]]
PATIENCE = 60.0
BUSY = """
import sys, numpy
from emf.runtime import Engine, Recognizer
recognizer = Recognizer.load(sys.argv[1], backend=sys.argv[2], num_threads=2)
engine = Engine(recognizer, max_streams=40, max_batch=16, max_queue_ms=1e6, max_total_queue_ms=1e8)
noise = numpy.random.default_rng(0).normal(0.0, 0.1, 100 * recognizer.sample_rate).astype(numpy.float32)
handles = [engine.open() for _ in range(20)]
for handle in handles:
    handle.accept_waveform(recognizer.sample_rate, noise)
next(handles[0].results())
"""
ENDINGS = {"pass": 0, "sys.exit(3)": 3, "raise ValueError('the caller')": 1, "del engine, handles, handle": 0}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_the_process_keeps_its_status(tiny_artifact: Path, backend: str, ending: str) -> None:
    command = [sys.executable, "-c", BUSY + ending, str(tiny_artifact), backend]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == ENDINGS[ending], done.stderr
    assert "terminate" not in done.stderr and "engine" not in done.stderr
    assert ("the caller" in done.stderr) == ("the caller" in ending)


@pytest.fixture
def threads_of_engines() -> Threads:
    """Of those that a test begins: a server for other tests of this process may have some."""
    before, names = set(threading.enumerate()), ("emf-worker", "emf-callbacks")
    return lambda: [
        thread for thread in threading.enumerate() if thread not in before and thread.name.startswith(names)
    ]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_engine_that_is_dropped_ends_its_threads(load: Load, threads_of_engines: Threads) -> None:
    engine = Engine(load(backend="onnxruntime"), num_workers=2)
    threads = threads_of_engines()
    assert len(threads) >= 3
    handle = engine.open()
    handle.accept_waveform(SAMPLE_RATE, speech_like(1.0))
    del engine, handle
    gc.collect()
    wait_for(lambda: not any(thread.is_alive() for thread in threads))


def test_handles_and_callbacks_outlive_the_name_of_their_engine(load: Load, threads_of_engines: Threads) -> None:
    recognizer, audio = load(backend="onnxruntime"), speech_like(1.0)
    expected = recognizer.transcribe(audio, SAMPLE_RATE).token_ids
    got: list[Result] = []
    handle = Engine(recognizer).open()
    other = Engine(recognizer).open(on_result=got.append)
    other.accept_waveform(SAMPLE_RATE, audio)
    other.input_finished()
    del other
    gc.collect()
    time.sleep(1.5)
    handle.accept_waveform(SAMPLE_RATE, audio)
    handle.input_finished()
    assert handle.result(PATIENCE).token_ids == expected
    del handle
    wait_for(lambda: not threads_of_engines())
    assert got[-1].is_final and got[-1].token_ids == expected


class Quits(WindowedFeatures):
    """Audio of which nothing is decoded: what it raises is no `Exception`."""

    def extract(self, buffer: SampleBuffer, step: int) -> FloatArray:
        raise SystemExit("a library that ends the program")


def test_a_stream_whose_decoding_raises_systemexit_ends_alone(load: Load) -> None:
    from dataclasses import replace

    recognizer, audio = load(backend="onnxruntime"), speech_like(1.0)
    manifest = recognizer.transducer.manifest
    stream = recognizer.create_stream()
    stream.settings = replace(stream.settings, extractor=Quits(manifest.frontend, manifest.geometry))
    with Engine(recognizer, max_streams=2) as engine:
        faulty, other = engine.open(stream), engine.open()
        for handle in (faulty, other):
            handle.accept_waveform(SAMPLE_RATE, audio)
            handle.input_finished()
        with pytest.raises(StreamClosed, match="SystemExit"):
            faulty.result(PATIENCE)
        assert other.result(PATIENCE).is_final


def test_a_callback_that_raises_systemexit_harms_no_other(load: Load) -> None:
    got: list[Result] = []

    def quits(_: Result) -> None:
        raise SystemExit

    with Engine(load(backend="onnxruntime")) as engine:
        for callback in (quits, got.append):
            handle = engine.open(on_result=callback)
            handle.accept_waveform(SAMPLE_RATE, speech_like(1.0))
            handle.input_finished()
            handle.result(PATIENCE)
    assert got[-1].is_final
