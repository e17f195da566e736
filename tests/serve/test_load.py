"""Clients that are slow or too many, a decoder that stalls, and the end of the server."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emf.runtime import EndpointRules
from emf.runtime.arrays import FloatArray
from emf.serve.load.alone import Alone
from emf.serve.load.call import Server, call
from emf.serve.load.client import Client
from emf.serve.load.clients import CLIENTS, address
from emf.serve.load.figures import Load
from emf.serve.load.loading import run_load
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.native.talking import talking
from tests.signals import SAMPLE_RATE, speech_like

AUDIO = (speech_like(4.0, seed=5) * 32767).astype(np.int16)
BYTES = AUDIO.tobytes()


@contextmanager
def stalled(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No stream is decoded meanwhile."""
    go_on = threading.Event()
    decode = server.recognizer.decode_streams

    def wait_and_decode(streams: Any, alone: bool = False) -> None:
        assert go_on.wait(SECONDS)
        decode(streams, alone)

    with monkeypatch.context() as patch:
        patch.setattr(server.recognizer, "decode_streams", wait_and_decode)
        try:
            yield
        finally:
            go_on.set()


def test_a_stalled_decoder_never_stops_the_reader(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute of audio comes at once. Who reads on answers pings and gets answers; all audio is decoded."""
    long = np.tile(AUDIO, 7)

    async def run(server: LiveServer) -> tuple[str, int]:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.hear("started")
            with stalled(server, monkeypatch):
                for at in range(0, len(long), 3200):
                    await talk.socket.send(long[at : at + 3200].tobytes())
                await talk.say("finish")
                async with asyncio.timeout(0.5 * SECONDS):
                    await (await talk.socket.ping())
                    (session,) = server.service.sessions
                    while session.received < len(long):
                        await asyncio.sleep(0.02)
                received = session.received
            text: str = (await talk.hear("done"))["text"]
            return text, received

    with live_server(tiny_artifact) as server:
        expected = server.recognizer.transcribe(long, SAMPLE_RATE).text
        assert asyncio.run(run(server)) == (expected, len(long))


def test_decoding_never_holds_the_loop(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a step is decoded, here for as long as that takes, the loop goes on."""

    async def run(server: LiveServer) -> str:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.socket.send(BYTES[:32_000])
            await talk.say("finish")
            text: str = (await talk.hear("done"))["text"]
            return text

    with live_server(tiny_artifact) as server:
        expected = server.recognizer.transcribe(AUDIO[:16_000], SAMPLE_RATE).text
        decode, waited = server.recognizer.decode_streams, list[bool]()

        def decode_when_the_loop_has_run(streams: Any, alone: bool = False) -> None:
            has_run = threading.Event()
            server.loop.call_soon_threadsafe(has_run.set)
            waited.append(has_run.wait(0.5 * SECONDS))
            decode(streams, alone)

        monkeypatch.setattr(server.recognizer, "decode_streams", decode_when_the_loop_has_run)
        assert asyncio.run(run(server)) == expected
        assert waited and all(waited)


def test_a_loop_that_is_held_is_measured(tiny_artifact: Path) -> None:
    with live_server(tiny_artifact) as server:
        told = server.service.counters.registry.get_sample_value

        def late() -> float:
            measured, soon = told("emf_loop_lag_seconds_count"), told("emf_loop_lag_seconds_bucket", {"le": "0.25"})
            assert measured is not None and soon is not None
            return measured - soon

        before = late()
        server.loop.call_soon_threadsafe(time.sleep, 0.4)
        end = time.monotonic() + SECONDS
        while late() == before:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_backlog_over_the_limit_is_told(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(server: LiveServer) -> tuple[str, int | None]:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            with stalled(server, monkeypatch):
                await talk.socket.send(bytes(32_000 * 16))
                code = (await talk.hear("error"))["code"]
                await talk.socket.wait_closed()
            return code, talk.socket.protocol.close_code

    with live_server(tiny_artifact, max_backlog=15.0) as server:
        assert asyncio.run(run(server)) == ("backlog", 1013)


def test_a_slow_client_gets_fewer_partials_and_every_final(tiny_artifact: Path) -> None:
    """It reads nothing before all of its audio is decoded, and then what the sockets do not hold."""

    async def run(server: LiveServer, pause: float) -> list[dict[str, Any]]:
        async with connect(server.url(), max_queue=1, compression=None) as socket:
            await socket.send('{"type":"start","sample_rate":16000}')
            for _ in range(5):
                await socket.send(BYTES)
            await socket.send('{"type":"finish"}')
            await asyncio.sleep(pause)
            async with asyncio.timeout(SECONDS):
                return [json.loads(message) async for message in socket]

    with live_server(tiny_artifact, endpoint=EndpointRules(max_length=1.5)) as server:
        fast, slow = (asyncio.run(run(server, pause)) for pause in (0.0, 1.0))
    finals = [[(m["segment"], m["stable"]) for m in some if m.get("is_final")] for some in (fast, slow)]
    assert finals[0] == finals[1]
    assert len(finals[0]) > 3
    assert fast[-1] == slow[-1]
    assert fast[-1]["type"] == "done"


def test_more_clients_than_places_are_refused_before_the_upgrade(tiny_artifact: Path) -> None:
    async def try_one(server: LiveServer, others: asyncio.Barrier) -> int:
        try:
            async with talking(server, sample_rate=SAMPLE_RATE) as talk:
                await talk.socket.send(BYTES)
                await others.wait()
                await talk.say("finish")
                assert (await talk.hear("done"))["text"] == expected
                return 101
        except InvalidStatus as refused:
            await others.wait()
            assert int(refused.response.headers["Retry-After"]) > 0
            return refused.response.status_code

    async def run(server: LiveServer) -> list[int]:
        others = asyncio.Barrier(20)
        async with asyncio.timeout(SECONDS):
            return await asyncio.gather(*(try_one(server, others) for _ in range(20)))

    with live_server(tiny_artifact, max_streams=4) as server:
        expected = server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text
        assert sorted(asyncio.run(run(server))) == [101] * 4 + [503] * 16
        assert server.service.gate.places.taken == 0


def test_twice_the_clients_of_all_protocols_disturb_nobody(tiny_artifact: Path) -> None:
    """The others are refused before the upgrade, and nobody is closed with an error; `emf-load` measures how soon."""
    places, seconds = 10, 1.0
    each = 2 * places // len(CLIENTS)

    async def load(url: str, client: Callable[[], Client]) -> tuple[Server, list[FloatArray], list[Alone]]:
        facts = client()
        target = Server(address(url, facts.path), {}, client)
        speech = [speech_like(1.0 + 0.2 * n, seed=n, sample_rate=facts.sample_rate) for n in range(2)]
        return target, speech, [Alone.of(await call(target, n, samples)) for n, samples in enumerate(speech)]

    async def run(url: str) -> list[Load]:
        loads = await asyncio.gather(*(load(url, client) for client in CLIENTS.values()))
        return await asyncio.gather(*(run_load(*one, each, seconds) for one in loads))

    with live_server(tiny_artifact, max_streams=places) as server:
        figures = [load.figures() for load in asyncio.run(run(server.url("", "http")))]
    for name, one in zip(CLIENTS, figures, strict=True):
        assert one.reasons.keys() <= {"http_503"}, name
        assert (one.failed, one.wrong_text) == (0, 0), name
    assert sum(one.recordings for one in figures) >= places
    assert sum(one.refused for one in figures) > 0


def test_the_end_lets_live_sessions_end_with_their_whole_text(tiny_artifact: Path) -> None:
    """New ones are refused meanwhile; a silent one is sent away at once."""

    async def live(server: LiveServer, stopped: asyncio.Event) -> str:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.socket.send(BYTES[:60_000])
            await talk.hear("result")
            await stopped.wait()
            await talk.socket.send(BYTES[60_000:])
            await talk.say("finish")
            text: str = (await talk.hear("done"))["text"]
            return text

    async def silent(server: LiveServer) -> tuple[str, int | None]:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            code = (await talk.hear("error"))["code"]
            await talk.socket.wait_closed()
            return code, talk.socket.protocol.close_code

    async def run(server: LiveServer) -> tuple[list[str], tuple[str, int | None], int]:
        stopped = asyncio.Event()
        lives = [asyncio.create_task(live(server, stopped)) for _ in range(4)]
        waiting = asyncio.create_task(silent(server))
        async with asyncio.timeout(SECONDS):
            while server.engine.metrics().streams < 4:
                await asyncio.sleep(0.01)
            server.stop()
            sent_away = await waiting
            with pytest.raises(InvalidStatus) as refused:
                await connect(server.url())
            stopped.set()
            return await asyncio.gather(*lives), sent_away, refused.value.response.status_code

    with live_server(tiny_artifact, drain=SECONDS) as server:
        texts, sent_away, status = asyncio.run(run(server))
        assert texts == [server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text] * 4
        assert sent_away == ("restarting", 1012)
        assert status == 503
        server.thread.join(SECONDS)
        assert not server.thread.is_alive()


@pytest.mark.usefixtures("winding_up")
def test_sessions_that_do_not_end_by_themselves_are_ended_with_their_text(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> tuple[str, int | None, str]:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.socket.send(BYTES)
            await talk.hear("result")
            server.stop()
            code = (await talk.hear("error"))["code"]
            await talk.socket.wait_closed()
            return code, talk.socket.protocol.close_code, " ".join(final["stable"] for final in talk.finals())

    with live_server(tiny_artifact, drain=SECONDS) as server:
        expected = server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text
        assert asyncio.run(run(server)) == ("restarting", 1012, expected)
