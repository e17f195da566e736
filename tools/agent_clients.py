"""Larger clients, the extra `clients`: packages for voice agents, which speak OpenAI's and Deepgram's protocols, and
sherpa-onnx's own."""

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import numpy as np
from client_speech import Form, Speech
from real_clients import ANY_KEY, RealClient, Server, joined, openai_client

from emf.runtime import EndpointRules
from emf.serve.session.audio_format import Encoding

SHERPA = "sherpa-onnx-online-websocket-client"
_TAIL_SECONDS = 2.0
"""Of silence behind the audio: these wait for the end of a turn, and not for the end of the audio."""
_LAST_SECONDS = 6.0
"""That they may take for it."""


async def openai_agents(server: Server, speech: Speech) -> str:
    """The text of its turns."""
    from agents.voice import StreamedAudioInput, STTModelSettings
    from agents.voice.models.openai_stt import OpenAISTTModel

    async with openai_client(server) as client:
        model, audio = OpenAISTTModel("gpt-4o-transcribe", client), StreamedAudioInput()
        session = await model.create_session(audio, STTModelSettings(turn_detection=None), False, False)

        async def send() -> None:
            async for data in speech.messages():
                await audio.add_audio(np.frombuffer(data, np.int16))
            await audio.add_audio(None)

        sending = asyncio.create_task(send())
        turns = [turn async for turn in session.transcribe_turns()]
        await sending
    return joined(turns)


async def _with_silence(speech: Speech) -> AsyncIterator[bytes]:
    """The audio, and silence behind it at the pace of speech."""
    async for data in speech.messages():
        yield data
        await asyncio.sleep(0.001)
    piece = bytes(2 * round(0.05 * speech.form.sample_rate))
    for _ in range(round(_TAIL_SECONDS / 0.05)):
        yield piece
        await asyncio.sleep(0.05 if speech.is_live else 0.002)


async def _livekit(speech: Speech, make: Callable[[Any], Any]) -> str:
    import aiohttp
    from livekit import rtc
    from livekit.agents import stt

    finals: list[str] = []
    async with aiohttp.ClientSession() as http:
        stream = make(http).stream()

        async def read() -> None:
            async for event in stream:
                if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                    finals.append(event.alternatives[0].text)

        reading = asyncio.create_task(read())
        async for data in _with_silence(speech):
            stream.push_frame(rtc.AudioFrame(data, speech.form.sample_rate, 1, len(data) // 2))
        with suppress(TimeoutError):  # it waits for more
            await asyncio.wait_for(reading, _LAST_SECONDS)
        await stream.aclose()
    return joined(finals)


async def livekit_openai(server: Server, speech: Speech) -> str:
    """LiveKit's plugin for OpenAI, over Realtime."""
    from livekit.plugins import openai

    def make(http: Any) -> Any:
        url = f"{server.http}/v1"
        made = openai.STT(base_url=url, api_key=ANY_KEY, model="gpt-4o-mini-transcribe", use_realtime=True)
        made._session = http  # its own belongs to a job of LiveKit
        return made

    return await _livekit(speech, make)


async def livekit_deepgram(server: Server, speech: Speech) -> str:
    """LiveKit's plugin for Deepgram."""
    from livekit.plugins import deepgram

    def make(http: Any) -> Any:
        return deepgram.STT(
            base_url=f"{server.http}/v1/listen",
            api_key=ANY_KEY,
            http_session=http,
            sample_rate=speech.form.sample_rate,
        )

    return await _livekit(speech, make)


async def _pipecat(service: Any, speech: Speech) -> str:
    from pipecat.frames.frames import (
        ErrorFrame,
        InputAudioRawFrame,
        TranscriptionFrame,
        VADUserStartedSpeakingFrame,
        VADUserStoppedSpeakingFrame,
    )
    from pipecat.tests.utils import SleepFrame, run_test

    rate = speech.form.sample_rate
    audio = [InputAudioRawFrame(data, rate, 1) async for data in _with_silence(speech)]
    sent = [SleepFrame(0.5), VADUserStartedSpeakingFrame(), *audio, SleepFrame(1.0)]
    down, up = await run_test(service, frames_to_send=[*sent, VADUserStoppedSpeakingFrame(), SleepFrame(4.0)])
    if errors := [frame for frame in (*down, *up) if isinstance(frame, ErrorFrame)]:
        raise RuntimeError(str(errors[0]))
    return joined(frame.text for frame in down if isinstance(frame, TranscriptionFrame))


async def pipecat_openai(server: Server, speech: Speech) -> str:
    """Pipecat's service for OpenAI, over Realtime; it ends the turns."""
    from pipecat.services.openai.stt import OpenAIRealtimeSTTService

    url = server.http.replace("http", "ws", 1) + "/v1/realtime"
    return await _pipecat(OpenAIRealtimeSTTService(api_key=ANY_KEY, base_url=url, turn_detection=False), speech)


async def pipecat_deepgram(server: Server, speech: Speech) -> str:
    """Pipecat's service for Deepgram."""
    from pipecat.services.deepgram.stt import DeepgramSTTService

    url = server.http.replace("http", "ws", 1)
    service = DeepgramSTTService(api_key=ANY_KEY, base_url=url, sample_rate=speech.form.sample_rate)
    return await _pipecat(service, speech)


async def sherpa_binary(server: Server, speech: Speech) -> str:
    """sherpa-onnx's client in C++, of the package sherpa-onnx-bin; it sends a file at the pace of speech."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(speech.wav)
        file.flush()
        address = [f"--server-ip={server.host}", f"--server-port={server.sherpa_port}"]
        client = await asyncio.create_subprocess_exec(SHERPA, *address, file.name, stderr=asyncio.subprocess.PIPE)
        _, told = await client.communicate()
    results = [json.loads(found) for found in re.findall(r"(\{.*\})$", told.decode(), re.MULTILINE)]
    return joined({result["segment"]: result["text"] for result in results}.values())


_FORM_16, _FORM_24 = Form(Encoding.PCM_S16LE, 16_000), Form(Encoding.PCM_S16LE, 24_000)
_TURNS = EndpointRules(silence_after_speech=0.5, max_length=60.0)
_LIVEKITS = EndpointRules(silence_after_speech=0.35, max_length=60.0)
_DEEPGRAMS = EndpointRules(silence_after_speech=0.3)
AGENTS = {
    "openai-agents": RealClient(openai_agents, (_FORM_24,), endpoint=_TURNS),
    "livekit-openai": RealClient(livekit_openai, (_FORM_24,), endpoint=_LIVEKITS),
    "livekit-deepgram": RealClient(livekit_deepgram, (_FORM_16,), endpoint=_DEEPGRAMS),
    "pipecat-openai": RealClient(pipecat_openai, (_FORM_16,)),
    "pipecat-deepgram": RealClient(pipecat_deepgram, (_FORM_16,), endpoint=_DEEPGRAMS),
    "sherpa-binary": RealClient(sherpa_binary, (_FORM_16,), is_live=False, endpoint=EndpointRules()),
}
"""By name."""
