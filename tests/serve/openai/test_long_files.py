"""Recordings that take long: what waits is bounded, the connection is kept awake, and nothing is cut off."""

import io
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from openai import OpenAI

from emf.serve.openai import transcript_events
from tests.serve.live_server import LiveServer, live_server
from tests.signals import SAMPLE_RATE, speech_like

AUDIO = (np.tile(speech_like(4.0, seed=5), 3) * 32767).astype(np.int16)
MOST_WAITING = 11.5 * SAMPLE_RATE * 4
"""Bytes: ten seconds, and a block, as float32."""


def sound() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, AUDIO, SAMPLE_RATE, format="FLAC")
    return file.getvalue()


@contextmanager
def slow(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A decoder much slower than the audio comes; the list gets how many bytes waited meanwhile."""
    decode, waited = server.recognizer.decode_streams, [0]

    def slowly(streams: Any, alone: bool = False) -> None:
        time.sleep(0.003)
        decode(streams, alone)

    def watch() -> None:
        while not ended.wait(0.01):
            waited.extend(session._inbox.size for session in list(server.service.sessions))

    ended, watching = threading.Event(), threading.Thread(target=watch)
    with monkeypatch.context() as patch:
        patch.setattr(server.recognizer, "decode_streams", slowly)
        watching.start()
        try:
            yield waited
        finally:
            ended.set()
            watching.join()


def test_events_keep_the_connection_awake(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript_events, "_ALIVE_SECONDS", 0.005)
    with live_server(tiny_artifact) as server:
        expected = server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text
        url = server.url("/v1/audio/transcriptions", "http")
        with slow(server, monkeypatch) as waited:
            answer = httpx.post(url, files={"file": sound()}, data={"stream": "true"}, timeout=60)
        lines = answer.text.split("\n\n")
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        assert sum(line.startswith(": ") for line in lines) > 10
        assert lines[-2] == "data: [DONE]"
        assert max(waited) <= MOST_WAITING
        assert max(waited) > 0, "the decoder was slower than the file"
        assert "".join(event["delta"] for event in events[:-1]) == events[-1]["text"] == expected != ""


def test_a_whole_answer_waits_as_long_as_it_takes(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also past the limits of live sessions: of their idle time, and of the audio that may wait."""
    with live_server(tiny_artifact, idle_timeout=1.0, max_backlog=15.0) as server:
        with OpenAI(api_key="any", base_url=server.url("/v1", "http")) as client, slow(server, monkeypatch) as waited:
            text = client.audio.transcriptions.create(model="x", file=("a.flac", sound())).text
        assert text == server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text
        assert max(waited) <= MOST_WAITING


def test_a_recording_is_cut_into_segments_at_pauses(demo_server: LiveServer) -> None:
    """They give all of its text, though the search had no endpoints."""
    from tests.serve.recordings import recording, silence

    audio = np.concatenate([recording("digits"), silence(3.0), recording("name")])
    file = io.BytesIO()
    soundfile.write(file, audio, SAMPLE_RATE, format="WAV")
    with OpenAI(api_key="any", base_url=demo_server.url("/v1", "http")) as client:
        answer = client.audio.transcriptions.create(
            model="x", file=("a.wav", file.getvalue()), response_format="verbose_json"
        )
    assert answer.text == demo_server.recognizer.transcribe(audio, SAMPLE_RATE).text
    segments = answer.segments or []
    assert len(segments) >= 2
    assert " ".join(segment.text for segment in segments) == answer.text
    assert all(one.end <= following.start for one, following in itertools.pairwise(segments))
