"""SIGTERM while clients of every protocol speak: nobody new comes in, and each gets the whole text."""

import asyncio
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from wyoming.client import AsyncTcpClient

from emf.runtime import Recognizer
from emf.runtime.arrays import FloatArray
from emf.serve.load.call import Server, call
from emf.serve.load.clients import CLIENTS, address
from tests.serve.recordings import recording
from tests.serve.wyoming.client import text_of, utterance

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))
from serving_process import ServingProcess, serving_process

SECONDS = 3.0
DRAIN = 90.0
"""More than even a slow machine needs for all of them."""
EACH = {"emf": 4, "openai": 4, "deepgram": 3, "vosk": 3, "sherpa": 3}


def speech(sample_rate: int) -> FloatArray:
    return np.asarray(recording("digits", sample_rate)[: round(SECONDS * sample_rate)] / np.float32(32768), np.float32)


async def speak(url: str, protocol: str) -> str:
    client = CLIENTS[protocol]
    server = Server(address(url, client().path), {}, client)
    return (await call(server, 0, speech(client().sample_rate))).text


async def speak_wyoming(url: str) -> str:
    """At the pace of speech; the text may come in several transcripts."""
    where = urlsplit(url)
    async with AsyncTcpClient(where.hostname or "", where.port or 0) as talk:
        events = utterance((speech(16_000) * 32768).astype(np.int16).tobytes(), 16_000)
        for event in events:
            await talk.write_event(event)
            await asyncio.sleep(SECONDS / len(events))
        heard = []
        while (answer := await talk.read_event()) is not None:
            heard.append(answer)
        return text_of(heard)


async def end(process: ServingProcess) -> tuple[list[tuple[str, str]], tuple[str, int], int]:
    """The texts of all, what the server says of itself meanwhile, and how newcomers are refused."""
    names = [name for name, count in EACH.items() for _ in range(count)]
    speaking = [speak(process.url, name) for name in names]
    speaking += [speak_wyoming(process.addresses["wyoming"]) for _ in range(3)]
    texts = asyncio.gather(*speaking)
    async with asyncio.timeout(DRAIN):
        while process.samples()["emf_streams"] < len(speaking):
            await asyncio.sleep(0.1)
    async with httpx.AsyncClient(base_url=process.url) as client:
        assert (await client.get("/health/live")).status_code == 200
        process.process.send_signal(signal.SIGTERM)
        while (ready := await client.get("/health/ready")).json()["status"] != "draining":
            await asyncio.sleep(0.005)
    with pytest.raises(InvalidStatus) as refused:
        await connect(process.url.replace("http", "ws") + "/emf/v1/stream")
    said = list(zip([*names, *["wyoming"] * 3], await texts, strict=True))
    return said, (ready.json()["status"], ready.status_code), refused.value.response.status_code


def test_who_speaks_gets_the_whole_text(demo_artifact: Path) -> None:
    flags = ["--wyoming-port", "0", "--max-streams", "20", "--drain", str(DRAIN), "--num-threads", "1"]
    recognizer = Recognizer.load(demo_artifact, num_threads=1)
    texts = {rate: recognizer.transcribe(speech(rate), rate).text for rate in (16_000, 24_000)}
    with serving_process(demo_artifact, flags) as process:
        said, ready, status = asyncio.run(end(process))
        assert process.process.wait(0.3 * DRAIN) == 0, "nobody is left to wait for"
    assert said == [(name, texts[24_000 if name == "openai" else 16_000]) for name, _ in said]
    assert all(text.count(" ") >= 3 for text in texts.values())
    assert ready == ("draining", 503)
    assert status == 503
