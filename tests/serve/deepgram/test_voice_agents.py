"""Packages for voice agents that speak Deepgram's protocol: LiveKit, Pipecat. Extra `clients`."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.serve.deepgram.conftest import recording
from tests.serve.deepgram.talking import RATE
from tests.serve.live_server import LiveServer

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))
from agent_clients import AGENTS
from client_speech import speech_of
from real_clients import Server

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
NEEDED = {"livekit-deepgram": "livekit.plugins.deepgram", "pipecat-deepgram": "pipecat.services.deepgram.stt"}


@pytest.mark.parametrize("name", NEEDED)
def test_the_text_is_the_librarys(demo: LiveServer, name: str) -> None:
    pytest.importorskip(NEEDED[name], reason=f"{name} is not installed")
    client = AGENTS[name]
    samples = recording("digits").astype(np.float32) / np.float32(32768)
    speech = speech_of(samples, RATE, client.forms[0])
    text = asyncio.run(client.transcribe(Server(demo.port, 0, 0, 0), speech))
    assert text == demo.recognizer.transcribe(speech.heard, RATE).text != ""
