"""The last word, by every protocol: it comes soon after it was said, also where nothing follows but some silence."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from websockets.asyncio.client import connect

from emf.runtime.arrays import FloatArray
from emf.serve.load.client import Client
from emf.serve.load.clients import CLIENTS, address
from tests.serve.live_server import SECONDS, LiveServer
from tests.serve.recordings import recording

SPOKEN, SILENCE = 3.0, 3.0
SOON = 1.0
"""Seconds of audio behind the last word, after which it is told: a step of the model, and what it looks ahead."""


def speech(sample_rate: int) -> FloatArray:
    samples = recording("digits", sample_rate)[: round(SPOKEN * sample_rate)] / np.float32(32768)
    return np.concatenate([samples, np.zeros(round(SILENCE * sample_rate), np.float32)])


async def text_without_and_with_the_end(server: LiveServer, client: Client, samples: FloatArray, expected: str) -> str:
    """Send audio, wait for its text, and only then send the end; the text behind it."""
    step, text = client.sample_rate // 10, ""
    async with connect(address(server.url("", "http"), client.path), max_size=None) as socket:
        for message in client.begin():
            await socket.send(message)
        for at in range(0, len(samples), step):
            await socket.send(client.audio(samples[at : at + step]))
            if client.lock_step and (heard := client.hear(await socket.recv())):
                text = heard.text
        while text != expected:
            if heard := client.hear(await socket.recv()):
                text = heard.text
        for message in client.end():
            await socket.send(message)
        while not (heard := client.hear(await socket.recv())) or not heard.is_end:
            pass
        return heard.text


@pytest.mark.parametrize("protocol", CLIENTS)
def test_the_last_word_comes_soon(demo_server: LiveServer, monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    client = CLIENTS[protocol]()
    samples = speech(client.sample_rate)
    expected = demo_server.recognizer.transcribe(samples, client.sample_rate)
    heard = samples[: round((expected.words[-1].end + SOON) * client.sample_rate)]

    async def run() -> str:
        async with asyncio.timeout(SECONDS):
            return await text_without_and_with_the_end(demo_server, client, heard, expected.text)

    later = replace(demo_server.service.session_limits, park_after=90.0, flush_after=90.0, idle_timeout=90.0)
    monkeypatch.setattr(demo_server.service, "session_limits", later)
    assert asyncio.run(run()) == expected.text
