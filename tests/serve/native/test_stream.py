"""The project's own protocol: what a client says and hears."""

import asyncio
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from emf.runtime.arrays import FloatArray
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.native.talking import Talk, talking
from tests.signals import SAMPLE_RATE, speech_like

AUDIO = (speech_like(3.0, seed=5) * 32767).astype(np.int16)
BYTES = AUDIO.tobytes()


def cuts(data: bytes, seed: int) -> list[bytes]:
    """Data cut anywhere, also within samples and into nothing."""
    random = np.random.default_rng(seed)
    places = sorted(random.integers(0, len(data) + 1, 30).tolist())
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


async def speak(server: LiveServer, pieces: list[bytes], **start: Any) -> Talk:
    async with talking(server, **start) as talk:
        for piece in pieces:
            await talk.socket.send(piece)
        await talk.say("finish")
        await talk.hear("done")
        return talk


@pytest.mark.parametrize("seed", range(3))
def test_the_text_is_the_librarys_however_the_audio_is_cut(server: LiveServer, seed: int) -> None:
    talk = asyncio.run(speak(server, cuts(BYTES, seed), sample_rate=SAMPLE_RATE))
    expected = server.recognizer.transcribe(AUDIO, SAMPLE_RATE)
    assert talk.messages[-1]["text"] == expected.text != ""
    (final,) = talk.finals()
    assert (final["stable"], final["unstable"]) == (expected.text, "")
    assert [word["word"] for word in final["words"]] == [word.word for word in expected.words]
    assert final["end"] == pytest.approx(3.0, abs=0.01)


def encoded(samples: FloatArray) -> dict[str, tuple[bytes, FloatArray]]:
    """Bytes of samples in each encoding, and what the library hears in them."""
    s16 = (samples * 32767).astype("<i2")
    s32 = (samples.astype(np.float64) * 2**31).astype("<i4")
    return {
        "pcm_s16le": (s16.tobytes(), s16.astype(np.float32) * np.float32(2.0**-15)),
        "pcm_s32le": (s32.tobytes(), (s32 / 2**31).astype(np.float32)),
        "pcm_f32le": (samples.astype("<f4").tobytes(), samples),
    }


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_s32le", "pcm_f32le"])
def test_encodings_and_rates(server: LiveServer, rate: int, encoding: str) -> None:
    data, heard = encoded(speech_like(1.5, seed=3, sample_rate=rate))[encoding]
    talk = asyncio.run(speak(server, cuts(data, 0), sample_rate=rate, encoding=encoding))
    assert talk.messages[-1]["text"] == server.recognizer.transcribe(heard, rate).text != ""


def test_channels_mixed_and_apart(server: LiveServer) -> None:
    both = np.stack([speech_like(2.0, seed=5), speech_like(2.0, seed=6)], axis=1)
    pieces = cuts(both.astype("<f4").tobytes(), 1)
    form = {"sample_rate": SAMPLE_RATE, "encoding": "pcm_f32le", "channels": 2}
    mixed = asyncio.run(speak(server, pieces, **form))
    assert mixed.messages[-1]["texts"] == [server.recognizer.transcribe(both, SAMPLE_RATE).text]
    apart = asyncio.run(speak(server, pieces, **form, separate=True))
    alone = [server.recognizer.transcribe(channel, SAMPLE_RATE).text for channel in both.T]
    assert apart.messages[-1]["texts"] == alone
    assert [final["channel"] for final in sorted(apart.finals(), key=lambda final: final["channel"])] == [0, 1]


def test_stable_text_only_grows_and_becomes_the_final(tiny_artifact: Path, server: LiveServer) -> None:
    talk = asyncio.run(speak(server, cuts(BYTES, 2), sample_rate=SAMPLE_RATE))
    results = [message for message in talk.messages if message["type"] == "result"]
    stable = [message["stable"] for message in results]
    assert all(after.startswith(before) for before, after in itertools.pairwise(stable))
    assert len(results) > 1


def test_marks_are_answered_in_order_and_after_their_audio(server: LiveServer) -> None:
    async def run() -> Talk:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            for place in range(3):
                await talk.socket.send(BYTES[place * 32_000 : (place + 1) * 32_000])
                await talk.say("mark", id={"place": place})
            await talk.say("finish")
            await talk.hear("done")
            return talk

    talk = asyncio.run(run())
    heard = [m["id"]["place"] for m in talk.messages if m["type"] == "marked"]
    assert heard == [0, 1, 2]
    ends = 0.0
    for message in talk.messages:
        if message["type"] == "result":
            ends = message["end"]
        elif message["type"] == "marked":
            assert ends >= message["id"]["place"], "the second's text came before its mark"


def test_kept_audio_is_decoded_and_all_of_it_in_the_end(server: LiveServer) -> None:
    talk = asyncio.run(speak(server, [BYTES], sample_rate=SAMPLE_RATE))
    kept = [m["samples"] for m in talk.messages if m["type"] == "kept"]
    assert kept == sorted(kept)
    assert kept[-1] == len(AUDIO)


def test_without_partials_there_are_finals_alone(server: LiveServer) -> None:
    talk = asyncio.run(speak(server, [BYTES], sample_rate=SAMPLE_RATE, partials=False))
    assert [m["is_final"] for m in talk.messages if m["type"] == "result"] == [True]


def test_an_empty_session_ends_well(server: LiveServer) -> None:
    talk = asyncio.run(speak(server, [], sample_rate=SAMPLE_RATE))
    assert [m["type"] for m in talk.messages] == ["started", "done"]
    assert talk.messages[-1]["text"] == ""


REFUSED_STARTS = {
    "no JSON": ("start", "bad_message"),
    "JSON of another kind": ("[1]", "bad_message"),
    "another type": ('{"type":"stop"}', "bad_message"),
    "a mark first": ('{"type":"mark","id":1}', "bad_message"),
    "a word for a number": ('{"type":"start","sample_rate":"fast"}', "bad_message"),
    "an unknown encoding": ('{"type":"start","encoding":"opus"}', "bad_message"),
    "an impossible rate": ('{"type":"start","sample_rate":5}', "bad_request"),
    "no channel": ('{"type":"start","channels":0}', "bad_request"),
    "too many streams": ('{"type":"start","channels":16,"separate":true}', "overloaded"),
    "an endpoint at once": ('{"type":"start","endpoints":{"max_length":0}}', "bad_request"),
    "an unknown token": ('{"type":"start","resume":"guessed"}', "unknown_token"),
}


@pytest.mark.parametrize("case", REFUSED_STARTS)
def test_starts_that_make_no_sense(server: LiveServer, case: str) -> None:
    text, code = REFUSED_STARTS[case]

    async def run() -> tuple[dict[str, Any], int | None]:
        async with connect(server.url()) as socket:
            await socket.send(text)
            answer = json.loads(await socket.recv())
            await socket.wait_closed()
            return answer, socket.protocol.close_code

    answer, close = asyncio.run(run())
    assert (answer["type"], answer["code"]) == ("error", code)
    assert close == (1013 if code == "overloaded" else 1008)
    assert server.service.gate.places.taken == 0


def test_bad_messages_are_told_and_harm_nothing(server: LiveServer) -> None:
    async def run() -> Talk:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.socket.send(BYTES[:30_000])
            for text in ("nonsense", '{"type":"stop"}', '{"type":"mark"}', '{"type":"start"}', "\ufeff{}"):
                await talk.socket.send(text)
                assert (await talk.hear("error"))["code"] == "bad_message"
            await talk.socket.send(BYTES[30_000:])
            await talk.say("finish", extra="fields are for later")
            await talk.hear("done")
            return talk

    talk = asyncio.run(run())
    assert talk.messages[-1]["text"] == server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_floats_that_are_no_audio(server: LiveServer, value: float) -> None:
    async def run() -> tuple[dict[str, Any], int | None]:
        async with talking(server, sample_rate=SAMPLE_RATE, encoding="pcm_f32le") as talk:
            await talk.socket.send(np.full(1000, value, "<f4").tobytes())
            error = await talk.hear("error")
            await talk.socket.wait_closed()
            return error, talk.socket.protocol.close_code

    error, close = asyncio.run(run())
    assert (error["code"], close) == ("bad_audio", 1008)


def test_a_message_that_is_too_large_is_refused_and_harms_nobody(server: LiveServer) -> None:
    async def run() -> tuple[int | None, str]:
        async with talking(server, sample_rate=SAMPLE_RATE) as healthy, talking(server) as greedy:
            await healthy.socket.send(BYTES)
            with pytest.raises(ConnectionClosed):
                await greedy.socket.send(bytes(25 * 2**20))
                await greedy.hear("done")
            await healthy.say("finish")
            return greedy.socket.protocol.close_code, (await healthy.hear("done"))["text"]

    close, text = asyncio.run(run())
    assert close == 1009
    assert text == server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text


def test_a_client_that_says_nothing_is_sent_away(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> tuple[str, int | None]:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            code = (await talk.hear("error"))["code"]
            await talk.socket.wait_closed()
            return code, talk.socket.protocol.close_code

    with live_server(tiny_artifact, idle_timeout=1.0) as server:
        assert asyncio.run(run(server)) == ("idle", 1008)


def test_a_client_that_keeps_alive_is_not_sent_away(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> None:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            for _ in range(9):
                await asyncio.sleep(0.25)
                await talk.say("keep_alive")
            await talk.say("finish")
            await talk.hear("done")

    with live_server(tiny_artifact, idle_timeout=2.0) as server:
        asyncio.run(run(server))


def test_a_silent_connection_holds_no_stream_and_goes_on_exactly(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> str:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.socket.send(BYTES[:50_000])
            await talk.hear("result")
            assert server.engine.metrics().admitted == 1
            async with asyncio.timeout(SECONDS):
                while server.service.gate.places.taken or server.engine.metrics().streams:
                    await asyncio.sleep(0.02)
            await talk.socket.send(BYTES[50_000:])
            await talk.say("finish")
            text: str = (await talk.hear("done"))["text"]
            assert server.engine.metrics().admitted == 2
            return text

    with live_server(tiny_artifact, park_after=0.3) as server:
        assert asyncio.run(run(server)) == server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text


def test_a_server_that_stood_still_takes_nobody_for_silent(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> str:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.socket.send(BYTES[:50_000])
            await talk.hear("result")
            server.loop.call_soon_threadsafe(time.sleep, 2.5)
            await asyncio.sleep(2.7)
            await talk.socket.send(BYTES[50_000:])
            await talk.say("finish")
            text: str = (await talk.hear("done"))["text"]
            return text

    with live_server(tiny_artifact, flush_after=1.0) as server:
        assert asyncio.run(run(server)) == server.recognizer.transcribe(AUDIO, SAMPLE_RATE).text
