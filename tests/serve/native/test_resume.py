"""Connections that break: the session goes on as if nothing had been."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import connect

from emf.runtime import EndpointRules
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.native.talking import Message, Talk, talking
from tests.signals import SAMPLE_RATE, speech_like

AUDIO = (speech_like(6.0, seed=5) * 32767).astype(np.int16)
BYTES = AUDIO.tobytes()
ENDPOINTS = EndpointRules(silence_after_speech=0.3, max_length=1.5)


def cut_off(talk: Talk) -> None:
    """Lose the connection without a word."""
    talk.socket.transport.abort()


def by_segment(messages: list[Message]) -> dict[int, str]:
    return {m["segment"]: m["stable"] for m in messages if m["type"] == "result" and m["is_final"] and m["stable"]}


async def uninterrupted(server: LiveServer) -> Talk:
    async with talking(server, sample_rate=SAMPLE_RATE) as talk:
        await talk.socket.send(BYTES)
        await talk.say("finish")
        await talk.hear("done")
        return talk


async def interrupted(server: LiveServer, cuts: list[int], pause: float) -> tuple[Talk, list[Message]]:
    """A client whose connection breaks after so many bytes each time; it counts the finals that it got."""
    token, heard, begin = None, list[Message](), 0
    for cut in [*cuts, len(BYTES)]:
        have = sum(m["type"] == "result" and m["is_final"] for m in heard)
        async with talking(server, sample_rate=SAMPLE_RATE, resume=token, have=have) as talk:
            started = await talk.hear("started")
            token, begin = started["resume"], 2 * started["audio_from"]
            await talk.socket.send(BYTES[begin:cut])
            if cut == len(BYTES):
                await talk.say("finish")
                await talk.hear("done")
                return talk, heard + talk.messages
            with suppress(TimeoutError):
                async with asyncio.timeout(pause + 0.1):
                    await talk.hear("done")
            cut_off(talk)
            heard += talk.messages
    raise AssertionError


@pytest.mark.parametrize("pause", [0.0, 0.6])
def test_the_text_is_that_of_an_unbroken_connection(tiny_artifact: Path, pause: float) -> None:
    """Also where the session gave its stream back in between."""
    with live_server(tiny_artifact, endpoint=ENDPOINTS, park_after=0.3) as server:
        whole = asyncio.run(uninterrupted(server))
        assert len(whole.finals()) > 2
        talk, heard = asyncio.run(interrupted(server, [33_333, 33_335, 100_001, 150_000], pause))
        assert talk.messages[-1]["text"] == whole.messages[-1]["text"] != ""
        assert by_segment(heard) == by_segment(whole.messages)
        segments = [m["segment"] for m in heard if m["type"] == "result" and m["is_final"]]
        assert len(segments) == len(set(segments)), "no final comes twice to a client that counts them"


def test_the_end_is_told_again(server: LiveServer) -> None:
    """The connection broke just when the last message came."""

    async def run() -> tuple[Message, Message]:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            token = (await talk.hear("started"))["resume"]
            await talk.socket.send(BYTES)
            await talk.say("finish")
            done = await talk.hear("done")
            cut_off(talk)
        async with talking(server, resume=token) as again:
            await again.say("finish")
            return done, await again.hear("done")

    first, second = asyncio.run(run())
    assert first == second


def test_a_token_ends_with_its_session(server: LiveServer) -> None:
    async def run() -> str:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            token = (await talk.hear("started"))["resume"]
            await talk.socket.send(BYTES)
        async with asyncio.timeout(SECONDS):
            while server.service.sessions:
                await asyncio.sleep(0.01)
        async with talking(server, resume=token) as again:
            code: str = (await again.hear("error"))["code"]
            return code

    assert asyncio.run(run()) == "unknown_token"


def test_nobody_comes_back(tiny_artifact: Path) -> None:
    """Streams, places and quotas of lost connections are free again after the window."""

    async def run(server: LiveServer) -> None:
        for _ in range(6):
            async with talking(server, sample_rate=SAMPLE_RATE) as talk:
                await talk.hear("started")
                await talk.socket.send(BYTES[:40_000])
                cut_off(talk)
        async with asyncio.timeout(SECONDS):
            while server.service.gate.places.taken or server.engine.metrics().streams or server.service.sessions:
                await asyncio.sleep(0.02)

    with live_server(tiny_artifact, resume_window=0.2) as server:
        asyncio.run(run(server))


def test_whoever_comes_back_takes_over(server: LiveServer) -> None:
    """The server need not have noticed that the old connection is dead."""

    async def run() -> str:
        async with talking(server, sample_rate=SAMPLE_RATE) as old:
            token = (await old.hear("started"))["resume"]
            await old.socket.send(BYTES[:50_000])
            await old.hear("result")
            async with talking(server, resume=token) as new:
                begin = 2 * (await new.hear("started"))["audio_from"]
                assert begin == 50_000
                await old.socket.wait_closed()
                await new.socket.send(BYTES[begin:])
                await new.say("finish")
                text: str = (await new.hear("done"))["text"]
                return text

    assert asyncio.run(run()) == server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text


def test_a_second_of_many_cannot_take_over_by_chance(server: LiveServer) -> None:
    async def run() -> set[str]:
        tokens = set()
        for _ in range(20):
            async with connect(server.url()) as socket:
                await socket.send('{"type":"start"}')
                tokens.add(json.loads(await socket.recv())["resume"])
        return tokens

    tokens = asyncio.run(run())
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 40
