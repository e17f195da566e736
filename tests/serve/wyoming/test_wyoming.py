"""Wyoming: what Home Assistant and other clients of its package send and hear."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

from emf.runtime import EndpointRules
from tests.serve.library import segments
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.recordings import recording, silence
from tests.serve.snippets import snippet
from tests.serve.wyoming.client import client, hear, send, text_of, transcribe, utterance
from tests.signals import SAMPLE_RATE, speech_like

SHORT = (speech_like(2.0, seed=5) * 32767).astype(np.int16)
SAID = utterance(SHORT.tobytes(), SAMPLE_RATE)


@pytest.fixture(scope="module")
def tiny(tiny_artifact: Path) -> Iterator[LiveServer]:
    with live_server(tiny_artifact, wyoming_port=0, max_streams=2) as running:
        yield running


def alone(server: LiveServer) -> str:
    return server.recognizer.transcribe(SHORT, SAMPLE_RATE).text


@pytest.mark.parametrize("rate", [8000, 16_000, 24_000, 48_000])
def test_the_text_is_the_librarys(demo_server: LiveServer, rate: int) -> None:
    samples = recording("digits", rate)
    events = asyncio.run(transcribe(demo_server, utterance(samples.tobytes(), rate)))
    assert text_of(events) == demo_server.recognizer.transcribe(samples, rate).text != ""
    kinds = [event.type for event in events]
    assert kinds[0] == "transcript-start"
    assert kinds[-2:] == ["transcript", "transcript-stop"]
    assert "transcript-chunk" in kinds


def test_more_channels_and_wider_samples(tiny: LiveServer) -> None:
    both = np.stack([speech_like(2.0, seed=5), speech_like(2.0, seed=6)], axis=1).astype(np.float64)
    wide = (both * 2**30).astype("<i4")
    heard = asyncio.run(transcribe(tiny, utterance(wide.tobytes(), SAMPLE_RATE, width=4, channels=2)))
    assert text_of(heard) == tiny.recognizer.transcribe((wide / 2**31).astype(np.float32), SAMPLE_RATE).text != ""


def test_chunks_of_all_segments_join(demo_artifact: Path) -> None:
    audio = np.concatenate([recording("digits"), silence(3.0), recording("name")])
    with live_server(demo_artifact, wyoming_port=0, endpoint=EndpointRules(silence_after_speech=1.6)) as server:
        text = text_of(asyncio.run(transcribe(server, utterance(audio.tobytes(), SAMPLE_RATE))))
        expected = segments(server.recognizer, audio, SAMPLE_RATE)
    assert len(expected) == 2
    assert text == " ".join(expected)


def test_the_server_describes_itself(tiny: LiveServer) -> None:
    async def run() -> tuple[Event, Event]:
        async with client(tiny) as talk:
            await send(talk, [Describe().event(), Ping("there?").event()])
            return (await hear(talk, "info"))[0], (await hear(talk, "pong"))[0]

    described, pong = asyncio.run(run())
    info = Info.from_event(described)
    (program,) = info.asr
    assert program.installed
    assert program.supports_transcript_streaming
    (model,) = program.models
    assert (model.name, model.installed, model.languages) == ("tiny_artifact", True, ["en"])
    assert not [*info.tts, *info.wake, *info.handle, *info.intent, *info.mic, *info.snd]
    assert Pong.from_event(pong).text == "there?"


def test_utterances_one_after_the_other(tiny: LiveServer) -> None:
    """Also sent without waiting, and after one that was given up. Phrases are for the next one alone."""

    async def run() -> list[str]:
        biased = Transcribe(transcript_names=["o", "Straße"], transcript_terms=["", "to"])
        async with client(tiny) as talk:
            await send(talk, SAID[:6])
            await send(talk, utterance(SHORT.tobytes(), SAMPLE_RATE, transcribe=biased))
            await send(talk, SAID[1:])
            texts = [text_of(after_the_start(await hear(talk, "transcript-stop"))) for _ in range(2)]
            await send(talk, SAID[-1:])
            return [*texts, text_of(await hear(talk, "transcript-stop"))]

    first, second, nothing = asyncio.run(run())
    (likely,) = segments(tiny.recognizer, SHORT, SAMPLE_RATE, {"o": 9.0, "to": 6.0})
    assert (first, second, nothing) == (likely, alone(tiny), "")
    assert first != second


def after_the_start(events: list[Event]) -> list[Event]:
    """The events of the last utterance."""
    return events[max(place for place, event in enumerate(events) if event.type == "transcript-start") :]


def test_audio_without_a_start_and_a_client_that_sends_no_more(tiny: LiveServer) -> None:
    async def run() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", tiny.ports["wyoming"])
        for chunk in SAID[2:]:
            data = str(chunk.data).replace("'", '"').replace("None", "null")
            line = f'{{"type":"{chunk.type}","data":{data},"payload_length":{len(chunk.payload or b"")}}}\n'
            writer.write(line.encode() + (chunk.payload or b""))  # data within the line, as older clients send it
        writer.write_eof()
        async with asyncio.timeout(SECONDS):
            answer = await reader.read()
        writer.close()
        return answer.decode()

    assert f'"text":"{alone(tiny)}"' in asyncio.run(run())


CHUNK = AudioChunk(SAMPLE_RATE, 2, 1, SHORT.tobytes()).event()
BAD_EVENTS = {
    "another rate": [*SAID[:4], AudioChunk(8000, 2, 1, b"\0" * 2000).event()],
    "bytes": [AudioStart(SAMPLE_RATE, 1, 1).event()],
    "no channel": [AudioStart(SAMPLE_RATE, 2, 0).event()],
    "an impossible rate": [AudioStart(5, 2, 1).event()],
    "words for numbers": [Event("audio-start", {"rate": "fast", "width": 2, "channels": 1})],
    "nothing": [Event("audio-chunk", {}, b"\0\0")],
    "a list": [Event("transcribe", {"transcript_names": "one"})],
}
BAD_BYTES = {
    "garbage": b"GET / HTTP/1.1\r\n\r\n",
    "no JSON": b"\xff\xfe\n",
    "a list": b"[1]\n",
    "no type": b"{}\n",
    "data that are none": b'{"type":"ping","data_length":3}\nabc',
    "too much data": b'{"type":"ping","data_length":1073741824}\n',
    "a negative size": b'{"type":"audio-chunk","payload_length":-1}\n',
    "too much audio": b'{"type":"audio-chunk","payload_length":99999999999}\n',
    "an endless line": b"x" * 200_000,
}


@pytest.mark.parametrize("case", [*BAD_EVENTS, *BAD_BYTES])
def test_what_makes_no_sense_ends_the_connection_alone(tiny: LiveServer, case: str) -> None:
    async def run() -> tuple[Event, str]:
        async with client(tiny) as healthy, client(tiny) as talk:
            await send(healthy, SAID[:10])
            await send(talk, BAD_EVENTS.get(case, []))
            if case not in BAD_EVENTS:
                assert talk._writer is not None
                talk._writer.write(BAD_BYTES[case])
                await talk._writer.drain()
            heard = await hear(talk)
            await send(healthy, SAID[10:])
            return heard[-1], text_of(await hear(healthy, "transcript-stop"))

    last, text = asyncio.run(run())
    error = Error.from_event(last)
    assert error.text.split()[0].lower() == "expected"
    assert error.code in ("bad_request", "bad_audio")
    assert text == alone(tiny)
    assert tiny.service.gate.places.taken == 0


def test_events_of_other_services_are_ignored(tiny: LiveServer) -> None:
    async def run() -> str:
        async with client(tiny) as talk:
            await send(talk, [Event("select-program", {"name": "x"}), Event("synthesize", {"text": "?"}, b"payload")])
            await send(talk, SAID)
            return text_of(await hear(talk, "transcript-stop"))

    assert asyncio.run(run()) == alone(tiny)


def test_one_more_than_there_is_room_for(tiny: LiveServer) -> None:
    """A connection takes a place when its audio begins. Who gets none is told and sent away."""

    async def run() -> tuple[Event, list[str]]:
        async with client(tiny) as one, client(tiny) as two, client(tiny) as three:
            for talk in (one, two):
                await send(talk, SAID[:10])
                await hear(talk, "transcript-start")
            await send(three, SAID[:10])
            (refused,) = await hear(three)
            for talk in (one, two):
                await send(talk, SAID[10:])
            return refused, [text_of(await hear(talk, "transcript-stop")) for talk in (one, two)]

    refused, texts = asyncio.run(run())
    assert Error.from_event(refused).code == "full"
    assert texts == 2 * [alone(tiny)]


def test_who_vanishes_or_says_nothing_holds_nothing(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> list[str | None]:
        for count in (3, 10, len(SAID)):
            async with client(server) as talk:
                await send(talk, SAID[:count])
                assert talk._writer is not None
                talk._writer.transport.abort()
        async with client(server) as idle, client(server) as silent:
            await send(silent, SAID[:10])
            codes = [Error.from_event((await hear(talk))[-1]).code for talk in (idle, silent)]
        async with asyncio.timeout(SECONDS):
            while server.service.sessions or server.service.gate.places.taken or server.engine.metrics().streams:
                await asyncio.sleep(0.01)
        return codes

    with live_server(tiny_artifact, wyoming_port=0, idle_timeout=1.0) as server:
        assert asyncio.run(run(server)) == ["idle", "idle"]


def test_the_end_of_the_server_comes_behind_the_text(tiny_artifact: Path) -> None:
    """One ends by itself, one has said nothing."""

    async def run(server: LiveServer) -> list[Event]:
        async with client(server) as ends, client(server) as idle:
            await send(ends, SAID[:-1])
            await hear(ends, "transcript-start")
            server.stop()
            assert await hear(idle) == []
            await send(ends, SAID[-1:])
            return await hear(ends)

    with live_server(tiny_artifact, wyoming_port=0, drain=SECONDS) as server:
        assert text_of(asyncio.run(run(server))) == alone(server)
        server.thread.join(SECONDS)
        assert not server.thread.is_alive()


@pytest.mark.usefixtures("winding_up")
def test_who_does_not_end_with_the_server_is_ended_behind_the_text(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> list[Event]:
        async with client(server) as talk:
            await send(talk, SAID[:-1])
            await hear(talk, "transcript-start")
            async with asyncio.timeout(SECONDS):
                while [session.received for session in server.service.sessions] != [len(SHORT)]:
                    await asyncio.sleep(0.01)
            server.stop()
            return await hear(talk)

    with live_server(tiny_artifact, wyoming_port=0, drain=SECONDS) as server:
        cut = asyncio.run(run(server))
        assert "".join(event.data["text"] for event in cut if event.type == "transcript-chunk") == alone(server)
    assert Error.from_event(cut[-1]).code == "restarting"


def test_the_page_connects(demo_server: LiveServer, capsys: pytest.CaptureFixture[str]) -> None:
    source = snippet("wyoming.md").replace("10300", str(demo_server.ports["wyoming"]))
    exec(compile(source, "wyoming.md", "exec"), {})
    assert capsys.readouterr().out.strip() == demo_server.recognizer.transcribe(recording("date"), SAMPLE_RATE).text
