"""Each protocol with the client that its users have: a recording in, the text that the client understood out."""

import asyncio
import base64
import json
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from client_speech import Form, Speech
from openai import AsyncOpenAI
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from wyoming_client import transcripts

from emf.runtime import EndpointRules
from emf.serve.client import Transcriber
from emf.serve.session.audio_format import Encoding
from emf.serve.session.settings import UNBROKEN

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the client goes on with websockets.legacy
    from deepgram import AsyncDeepgramClient, DeepgramClientEnvironment

ANY_KEY = "any-key-0123456789ab"
_COMPLETED = "conversation.item.input_audio_transcription.completed"
_FAILED = ("error", "conversation.item.input_audio_transcription.failed")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server's protocols are; `port` is the main one."""

    port: int
    vosk_port: int
    sherpa_port: int
    wyoming_port: int
    host: str = "127.0.0.1"

    @property
    def http(self) -> str:
        """URL of the main port."""
        return f"http://{self.host}:{self.port}"


Transcribing: TypeAlias = Callable[[Server, Speech], Coroutine[Any, Any, str]]


@dataclass(frozen=True, slots=True)
class RealClient:
    """A client of a protocol.

    Attributes:
        transcribe: gives the text of a recording.
        forms: in which the protocol takes audio.
        is_live: audio has a pace; otherwise it is sent as a file.
        endpoint: rules by which the server ends segments for it.
    """

    transcribe: Transcribing
    forms: tuple[Form, ...]
    is_live: bool = True
    endpoint: EndpointRules = UNBROKEN


def joined(texts: Iterable[str]) -> str:
    """Texts one after the other, as these clients join them."""
    return " ".join(text for text in texts if text)


async def native(server: Server, speech: Speech) -> str:
    """This project's own client."""
    form = speech.form
    async with Transcriber(server.http, sample_rate=form.sample_rate, encoding=form.encoding.value) as transcriber:
        async for data in speech.messages():
            await transcriber.send(data)
        return await transcriber.finish()


def openai_client(server: Server) -> AsyncOpenAI:
    """The package's client."""
    return AsyncOpenAI(api_key=ANY_KEY, base_url=f"{server.http}/v1", max_retries=0)


def _openai_format(form: Form) -> dict[str, Any]:
    names = {Encoding.MULAW: "audio/pcmu", Encoding.ALAW: "audio/pcma"}
    if form.encoding in names:
        return {"type": names[form.encoding]}
    return {"type": "audio/pcm", "rate": form.sample_rate}


async def _openai_realtime(server: Server, speech: Speech, detection: dict[str, Any] | None) -> str:
    """As openai-agents ends a conversation: commit, then clear; the text of all items."""
    audio: Any = {"input": {"format": _openai_format(speech.form), "turn_detection": detection}}
    intent = {"intent": "transcription"}
    async with openai_client(server) as client, client.realtime.connect(extra_query=intent) as talk:
        sending = asyncio.create_task(_append(talk, speech, audio))
        texts: list[str] = []
        try:
            event: Any
            async for event in talk:
                if event.type == _COMPLETED:
                    texts.append(event.transcript)
                elif event.type in _FAILED and getattr(getattr(event, "error", None), "event_id", "") != "last":
                    raise RuntimeError(event.to_json())
                elif event.type == "input_audio_buffer.cleared":
                    break
            await sending
        finally:
            sending.cancel()
    return joined(texts)


async def _append(talk: Any, speech: Speech, audio: Any) -> None:
    await talk.session.update(session={"type": "transcription", "audio": audio})
    async for data in speech.messages():
        await talk.input_audio_buffer.append(audio=base64.b64encode(data).decode())
    await talk.input_audio_buffer.commit(event_id="last")
    await talk.input_audio_buffer.clear()


async def openai_manual(server: Server, speech: Speech) -> str:
    """Realtime, one turn that the client commits."""
    return await _openai_realtime(server, speech, None)


async def openai_turns(server: Server, speech: Speech) -> str:
    """Realtime, turns that the server finds."""
    return await _openai_realtime(server, speech, {"type": "server_vad", "silence_duration_ms": 500})


async def openai_file(server: Server, speech: Speech) -> str:
    """REST, a whole answer."""
    async with openai_client(server) as client:
        answer = await client.audio.transcriptions.create(model="any", file=("speech.wav", speech.wav))
        return answer.text


async def openai_file_events(server: Server, speech: Speech) -> str:
    """REST, server-sent events; the deltas, which give the text at the end."""
    async with openai_client(server) as client:
        stream = await client.audio.transcriptions.create(model="any", file=("speech.wav", speech.wav), stream=True)
        events: list[Any] = [event async for event in stream]
    text = "".join(event.delta for event in events[:-1])
    if text != events[-1].text:
        raise RuntimeError(f"the deltas give {text!r}, the end {events[-1].text!r}")
    return text


_DEEPGRAM = {
    Encoding.PCM_S16LE: "linear16",
    Encoding.PCM_F32LE: "linear32",
    Encoding.MULAW: "mulaw",
    Encoding.ALAW: "alaw",
}


@asynccontextmanager
async def _deepgram(server: Server) -> AsyncIterator[AsyncDeepgramClient]:
    import httpx

    web, socket = server.http, server.http.replace("http", "ws", 1)
    places = DeepgramClientEnvironment(base=web, production=socket, agent=socket, agent_rest=web)
    async with httpx.AsyncClient(timeout=60) as connections:  # the client does not close its own
        yield AsyncDeepgramClient(api_key=ANY_KEY, environment=places, httpx_client=connections)


async def _deepgram_results(server: Server, data: AsyncIterator[bytes], query: dict[str, Any]) -> str:
    async with _deepgram(server) as client, client.listen.v1.connect(model="nova-3", **query) as socket:

        async def send() -> None:
            async for piece in data:
                await socket.send_media(piece)
            await socket.send_close_stream()

        sending = asyncio.create_task(send())
        finals: list[str] = []
        async for message in socket:
            if message.type == "Results" and message.is_final:
                finals.append(message.channel.alternatives[0].transcript)
        await sending
    return joined(finals)


async def deepgram_live(server: Server, speech: Speech) -> str:
    """Raw audio as LiveKit asks for it."""
    form = speech.form
    query: dict[str, Any] = {"encoding": _DEEPGRAM[form.encoding], "sample_rate": form.sample_rate}
    wanted = {"interim_results": True, "endpointing": 25, "vad_events": True, "smart_format": True}
    return await _deepgram_results(server, speech.messages(), query | wanted)


async def deepgram_live_file(server: Server, speech: Speech) -> str:
    """A WAV file in pieces, with the client's defaults."""

    async def pieces() -> AsyncIterator[bytes]:
        data = speech.wav
        for at in range(0, len(data), 4_001):
            yield data[at : at + 4_001]

    return await _deepgram_results(server, pieces(), {})


async def deepgram_file(server: Server, speech: Speech) -> str:
    """Prerecorded."""
    async with _deepgram(server) as client:
        answer: Any = await client.listen.v1.media.transcribe_file(request=speech.wav, model="nova-3")
        text: str = answer.results.channels[0].alternatives[0].transcript
        return text


async def vosk(server: Server, speech: Speech) -> str:
    """In lock-step, as vosk-server's `test.py`."""
    async with connect(f"ws://{server.host}:{server.vosk_port}") as socket:
        await socket.send(json.dumps({"config": {"sample_rate": speech.form.sample_rate}}))
        texts: list[str] = []
        async for data in speech.messages():
            await socket.send(data)
            texts.append(json.loads(await socket.recv()).get("text", ""))
        await socket.send('{"eof" : 1}')
        texts.append(json.loads(await socket.recv())["text"])
    return joined(texts)


async def sherpa(server: Server, speech: Speech) -> str:
    """As sherpa-onnx's `online-websocket-client-decode-file.py`, with the segments of its web page."""
    async with connect(f"ws://{server.host}:{server.sherpa_port}") as socket:

        async def receive() -> dict[int, str]:
            texts: dict[int, str] = {}
            with suppress(ConnectionClosedError):
                async for message in socket:
                    if message == "Done!":
                        break
                    result = json.loads(message)
                    texts[result["segment"]] = result["text"]
            return texts

        receiving = asyncio.create_task(receive())
        async for data in speech.messages():
            await socket.send(data)
        await socket.send("Done")
        return joined((await receiving).values())


async def wyoming(server: Server, speech: Speech) -> str:
    """As Home Assistant."""
    said = transcripts(server.host, server.wyoming_port, speech.form.sample_rate, speech.messages())
    *_, text = [text async for text in said]
    return text


def _forms(encodings: Iterable[Encoding], rates: Iterable[int]) -> tuple[Form, ...]:
    made = [Form(encoding, rate) for encoding in encodings for rate in rates]
    return tuple(form for form in made if form.encoding not in (Encoding.MULAW, Encoding.ALAW) or form in _TELEPHONE)


_RATES = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
_S16 = (Encoding.PCM_S16LE,)
_TELEPHONE = (Form(Encoding.MULAW, 8_000), Form(Encoding.ALAW, 8_000))
_PCM = _forms(_S16, _RATES)
_SERVERS = EndpointRules()
_DEEPGRAMS = EndpointRules(silence_after_speech=0.3)
_TURNS = EndpointRules(silence_after_speech=0.5, max_length=60.0)

CLIENTS: dict[str, RealClient] = {
    "emf": RealClient(native, _forms(Encoding, _RATES), endpoint=_SERVERS),
    "openai": RealClient(openai_manual, (*_PCM, *_TELEPHONE)),
    "openai-turns": RealClient(openai_turns, (*_PCM, *_TELEPHONE), endpoint=_TURNS),
    "openai-file": RealClient(openai_file, _forms(Encoding, _RATES), is_live=False),
    "openai-events": RealClient(openai_file_events, _forms(Encoding, _RATES), is_live=False),
    "deepgram": RealClient(deepgram_live, _forms(_DEEPGRAM, _RATES), endpoint=_DEEPGRAMS),
    "deepgram-live-file": RealClient(deepgram_live_file, _forms(Encoding, _RATES), is_live=False, endpoint=_DEEPGRAMS),
    "deepgram-file": RealClient(deepgram_file, _forms(Encoding, _RATES), is_live=False),
    "vosk": RealClient(vosk, _PCM, endpoint=_SERVERS),
    "sherpa": RealClient(sherpa, (Form(Encoding.PCM_F32LE, 16_000),), endpoint=_SERVERS),
    "wyoming": RealClient(wyoming, _PCM),
}
"""By name."""
