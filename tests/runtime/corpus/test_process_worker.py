"""The loop of a worker process, in a thread of this one."""

import multiprocessing
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import soundfile

from emf.runtime.corpus.job import Item, Job, Outcome
from emf.runtime.corpus.messages import Ready, Refused, Setup
from emf.runtime.corpus.process_worker import serve
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.recognition.options import RecognizerOptions
from tests.signals import SAMPLE_RATE, speech_like

SECONDS = 60.0


def work(artifact: Path, *paths: Path) -> list[object]:
    """What the loop answers to a setup, these recordings and the end of the connection."""
    here, there = multiprocessing.Pipe()
    job = Job(artifact, Decoding(RecognizerOptions(num_threads=1, beam_width=2)), width=2)
    worker = threading.Thread(target=run, args=(there,), daemon=True)
    worker.start()
    here.send(Setup(job, ()))
    answers = [receive(here)]
    for number, path in enumerate(paths):
        here.send(Item(number, path))
    answers += [receive(here) for _ in paths]
    here.close()
    worker.join(SECONDS)
    assert not worker.is_alive()
    return answers


def run(connection: "Connection[object, object]") -> None:
    with connection:
        serve(connection)


def receive(connection: "Connection[object, object]") -> object:
    assert connection.poll(SECONDS)
    return connection.recv()


def test_each_recording_is_answered_once(tiny_artifact: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.wav" for index in range(3)]
    for index, path in enumerate(paths):
        soundfile.write(path, speech_like(0.5 + index, seed=index), SAMPLE_RATE)
    ready, *outcomes = work(tiny_artifact, *paths, tmp_path / "nowhere.wav")
    assert isinstance(ready, Ready)
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)
    found = {outcome.number: outcome.document for outcome in outcomes if isinstance(outcome, Outcome)}
    assert sorted(found) == [0, 1, 2, 3]
    assert [found[number]["duration_s"] for number in range(3)] == pytest.approx([0.5, 1.5, 2.5])
    assert "error" in found[3] and "nowhere.wav" in found[3]["path"]


def test_a_model_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (refused,) = work(tmp_path / "no_artifact")
    assert isinstance(refused, Refused)
    assert "no_artifact" in str(refused.error)
