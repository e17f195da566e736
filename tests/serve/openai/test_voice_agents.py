"""Packages for voice agents that speak OpenAI's protocols: openai-agents, LiveKit, Pipecat. Extra `clients`."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from tests.serve.live_server import LiveServer
from tests.serve.openai.realtime import KEY
from tests.serve.openai.speech import recording

RATE = 24_000
PAUSE = 0.002
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


def speech(sample_rate: int = RATE, silence: float = 0.0) -> Any:
    samples = np.concatenate([recording("digits", sample_rate), np.zeros(round(silence * sample_rate), np.float32)])
    return (samples * 32767).astype(np.int16)


def frames(samples: Any, seconds: float = 0.05, sample_rate: int = RATE) -> Iterator[Any]:
    size = round(seconds * sample_rate)
    return (samples[begin : begin + size] for begin in range(0, len(samples), size))


def test_openai_agents(demo_server: LiveServer) -> None:
    agents = pytest.importorskip("agents.voice", reason="openai-agents is not installed")
    model_module = pytest.importorskip("agents.voice.models.openai_stt")
    from openai import AsyncOpenAI

    async def run(detection: dict[str, Any] | None) -> tuple[str, list[str]]:
        client = AsyncOpenAI(api_key=KEY, base_url=demo_server.url("/v1", "http"))
        model = model_module.OpenAISTTModel("gpt-4o-transcribe", client)
        settings = agents.STTModelSettings(turn_detection=detection)
        whole = await model.transcribe(agents.AudioInput(buffer=samples), settings, False, False)
        audio = agents.StreamedAudioInput()
        session = await model.create_session(audio, settings, False, False)
        for piece in frames(samples):
            await audio.add_audio(piece)
        await audio.add_audio(None)
        return whole, [turn async for turn in session.transcribe_turns()]

    samples = speech()
    expected = demo_server.recognizer.transcribe(samples, RATE).text
    for detection in (None, {"type": "server_vad", "silence_duration_ms": 500}):
        whole, turns = asyncio.run(run(detection))
        assert (whole, " ".join(turn for turn in turns if turn)) == (expected, expected)


def test_livekit(demo_server: LiveServer) -> None:
    """Twice over one recognizer: it takes its sockets from a pool."""
    plugin = pytest.importorskip("livekit.plugins.openai", reason="livekit-plugins-openai is not installed")
    rtc, stt, aiohttp = (pytest.importorskip(name) for name in ("livekit.rtc", "livekit.agents.stt", "aiohttp"))

    def frame(piece: Any) -> Any:
        return rtc.AudioFrame(piece.tobytes(), RATE, 1, len(piece))

    async def turns(recognizer: Any) -> list[str]:
        stream = recognizer.stream()
        finals: list[str] = []
        for piece in frames(samples):
            stream.push_frame(frame(piece))
            await asyncio.sleep(PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(2.0):  # it waits for more
                async for event in stream:
                    if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                        finals.append(event.alternatives[0].text)
        await stream.aclose()
        return finals

    async def run() -> list[str]:
        async with aiohttp.ClientSession() as http:
            url = demo_server.url("/v1", "http")
            recognizer = plugin.STT(base_url=url, api_key=KEY, model="gpt-4o-mini-transcribe", use_realtime=True)
            recognizer._session = http  # its own belongs to a job of LiveKit
            live = [" ".join(await turns(recognizer)) for _ in range(2)]
            whole = plugin.STT(base_url=url, api_key=KEY, model="whisper-1", use_realtime=False)
            event = await whole.recognize(frame(samples))
            return [*live, event.alternatives[0].text]

    samples = speech(silence=1.5)
    expected = demo_server.recognizer.transcribe(samples, RATE).text
    assert asyncio.run(run()) == [expected] * 3


def test_pipecat(demo_server: LiveServer) -> None:
    service_module = pytest.importorskip("pipecat.services.openai.stt", reason="pipecat-ai is not installed")
    pipecat, utils = pytest.importorskip("pipecat.frames.frames"), pytest.importorskip("pipecat.tests.utils")

    async def run(detection: Any) -> Any:
        url = demo_server.url("/v1/realtime")
        service = service_module.OpenAIRealtimeSTTService(api_key=KEY, base_url=url, turn_detection=detection)
        audio = [pipecat.InputAudioRawFrame(p.tobytes(), rate, 1) for p in frames(samples, sample_rate=rate)]
        sent = [utils.SleepFrame(0.5), pipecat.VADUserStartedSpeakingFrame(), *audio, utils.SleepFrame(1.0)]
        sent += [pipecat.VADUserStoppedSpeakingFrame(), utils.SleepFrame(1.0)]
        return await utils.run_test(service, frames_to_send=sent)

    rate = 16_000
    samples = speech(rate, silence=1.5)
    expected = demo_server.recognizer.transcribe(samples, rate).text
    for detection in (False, None):
        down, up = asyncio.run(run(detection))
        assert not [frame for frame in (*down, *up) if isinstance(frame, pipecat.ErrorFrame)]
        assert " ".join(f.text for f in down if isinstance(f, pipecat.TranscriptionFrame)) == expected
