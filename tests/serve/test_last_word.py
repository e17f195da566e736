"""The last word, by every protocol: it comes soon after it was said, also where nothing follows but silence."""

import asyncio

import numpy as np
import pytest

from emf.runtime.arrays import FloatArray
from emf.serve.load.call import Call, Server, call
from emf.serve.load.clients import CLIENTS, address
from tests.serve.live_server import LiveServer
from tests.serve.recordings import recording

SPOKEN, SILENCE = 3.0, 3.0
SOON = 1.0
"""A step of the model, what it looks ahead, and a busy machine. A text that waits for the end comes after `SILENCE`."""


def speech(sample_rate: int, silence: float) -> FloatArray:
    samples = recording("digits", sample_rate)[: round(SPOKEN * sample_rate)] / np.float32(32768)
    return np.concatenate([samples, np.zeros(round(silence * sample_rate), np.float32)])


async def spoken(server: LiveServer, protocol: str, silence: float) -> Call:
    client = CLIENTS[protocol]
    where = Server(address(server.url("", "http"), client().path), {}, client)
    return await call(where, 0, speech(client().sample_rate, silence))


@pytest.mark.parametrize("silence", [0.0, SILENCE])
def test_the_last_word_comes_soon(demo_server: LiveServer, silence: float) -> None:
    async def run() -> list[Call]:
        return await asyncio.gather(*(spoken(demo_server, protocol, silence) for protocol in CLIENTS))

    for protocol, made in zip(CLIENTS, asyncio.run(run()), strict=True):
        rate = CLIENTS[protocol]().sample_rate
        expected = demo_server.recognizer.transcribe(speech(rate, silence), rate)
        assert made.text == expected.text, protocol
        assert made.final is not None
        assert made.final < SOON, protocol
        if silence:
            assert made.updates[-1].at < expected.words[-1].end + SOON, protocol
